package operation_test

import (
	"testing"

	"go.uber.org/goleak"

	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(planted.Tests{M: m}) }
