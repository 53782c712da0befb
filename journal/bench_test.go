package journal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
	"payments.internal/klarna-gateway/store/sqlite"
)

// BenchmarkRecordPayment is what a payment status costs behind the door: 64 callers each tell of a payment as unpaid, then
// as paid. Told beside the time: this process's CPU, the longest that 99 of 100 took, and how many facts shared a commit.
func BenchmarkRecordPayment(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		e, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "gateway.db"))
		if err != nil {
			b.Fatal(err)
		}
		benchmarkRecord(b, e)
	})
	b.Run("postgres", func(b *testing.B) {
		server := postgrestest.Private(b)
		e, err := postgres.Open(b.Context(), server.Schema(b))
		if err != nil {
			b.Fatal(err)
		}
		benchmarkRecord(b, e)
	})
}

func benchmarkRecord(b *testing.B, e store.Engine) {
	defer e.Close()
	keys, err := store.OpenKeyring(filepath.Join(b.TempDir(), "keyring.json"))
	if err != nil {
		b.Fatal(err)
	}
	var commits, units atomic.Int64
	s, err := store.New(b.Context(), store.Config{Engine: e, Keys: keys, Observe: func(_ context.Context, c store.Commit) {
		commits.Add(1)
		units.Add(int64(c.Units))
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	j := journal.New(journal.Config{Store: s})
	raw := make([]byte, 700)
	var n atomic.Int64
	var working sync.WaitGroup
	took := make([]time.Duration, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	cpu, wrote := used(), written()
	for range 64 {
		working.Go(func() {
			order := ""
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				began := time.Now()
				status := "PAID"
				if order == "" {
					order, status = uuid.NewString(), "UNPAID"
				}
				fact := statusFact(order, status, raw)
				if status == "PAID" {
					order = ""
				}
				if _, err := j.RecordPayment(b.Context(), fact); err != nil {
					b.Error(err)
					return
				}
				took[i-1] = time.Since(began)
			}
		})
	}
	working.Wait()
	b.StopTimer()
	b.ReportMetric(float64((used()-cpu).Microseconds())/float64(b.N), "µs-cpu/op")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
	b.ReportMetric(float64(written()-wrote)/float64(b.N), "written-B/op")
	b.ReportMetric(float64(units.Load())/float64(commits.Load()), "facts/commit")
}

func statusFact(order, status string, raw []byte) journal.PaymentFact {
	debtor := journal.Debtor{AccountHolderName: "Erika Beispiel", IBAN: "DE02120300000000202051", BankName: "Beispielbank"}
	facts := &journal.StatusFacts{
		Status: status, Currency: "EUR", OrderAmount: 12995, Reference1: "SO-" + order[:8], Expected: []journal.Transfer{{Amount: 12995, Debtor: debtor}},
	}
	if status == "PAID" {
		facts.Received = []journal.Transfer{{Amount: 12995, ReceivedAt: time.Now(), Debtor: debtor}}
	}
	return journal.PaymentFact{
		EventID: fmt.Sprintf("payment-status:shop:%s", uuid.NewString()), MerchantAccount: "shop", Cause: journal.Notification, At: time.Now(),
		Type: "non_guaranteed_payment.updated", Raw: raw, OrderID: order, Status: facts,
	}
}

// used is the time that this process had on a core.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// written is how many bytes this process has written to files and sockets; 0 where Linux does not tell.
func written() (n int64) {
	text, _ := os.ReadFile("/proc/self/io")
	_, after, _ := strings.Cut(string(text), "wchar: ")
	_, _ = fmt.Sscan(after, &n)
	return n
}
