package server

import (
	"bytes"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"testing"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	"payments.internal/klarna-gateway/klarna/klarnatest/contract"
)

var contractFile = flag.String("contract", "", "write the table of Klarna's operations, and what the tests made of them, to this file")

// rpcsOf are the RPCs that reach an operation of Klarna's.
func rpcsOf(reached []coverage, method, path string) (rpcs []string) {
	for _, c := range reached {
		if c.method == method && contract.SamePath(c.path, path) && !slices.Contains(rpcs, c.rpc) {
			rpcs = append(rpcs, c.rpc)
		}
	}
	return rpcs
}

// contractTable ends the tests of this package. If it is asked for, it writes the table of Klarna's operations, by what has
// passed between the gateway and the simulated Klarna; an operation that lacks something then fails the run.
func contractTable(code int) {
	if *contractFile != "" && code == 0 {
		lacking, err := writeContract(*contractFile)
		if err != nil || lacking > 0 {
			fmt.Fprintf(os.Stderr, "contract: %d operations lack something, see the table (%v)\n", lacking, err)
			code = 1
		}
	}
	os.Exit(code)
}

func writeContract(file string) (lacking int, err error) {
	docs, err := contract.Read()
	if err != nil {
		return 0, fmt.Errorf("Klarna's documents: %w", err)
	}
	reached, _, err := readCoverage()
	if err != nil {
		return 0, err
	}
	var table bytes.Buffer
	lacking, err = docs.WriteTable(&table, func(method, path string) []string { return rpcsOf(reached, method, path) })
	if err != nil {
		return lacking, err
	}
	return lacking, os.WriteFile(file, table.Bytes(), 0o644)
}

// TestContract_EveryOperationHasAnRPC looks for each operation of Klarna's documents, and each that the fact sheets' tables
// name, behind the RPCs; and the other way round, so that no comment names an operation that Klarna does not have.
func TestContract_EveryOperationHasAnRPC(t *testing.T) {
	t.Parallel()
	docs := contract.Open(t)
	reached, _ := covered(t)
	for _, o := range docs.Operations {
		if rpcsOf(reached, o.Method, o.Path) == nil {
			t.Errorf("%s: no RPC reaches %s %s", o.Document, o.Method, o.Path)
		}
	}
	for _, c := range reached {
		known := slices.ContainsFunc(docs.Operations, func(o *contract.Operation) bool { return o.Method == c.method && contract.SamePath(o.Path, c.path) })
		if !known {
			t.Errorf("%s names %s %s, which Klarna does not have", c.rpc, c.method, c.path)
		}
	}
}

// TestContract_EnforcementIsAsDescribed makes the one call that the gateway makes over TLS alone, past the gateway; an
// operator's way there is a test of the whole process.
func TestContract_EnforcementIsAsDescribed(t *testing.T) {
	t.Parallel()
	const key = "klarna_test_api_key"
	sim := klarnatest.New(klarnatest.Config{APIKey: key})
	t.Cleanup(sim.Close)
	api := httptest.NewServer(sim)
	t.Cleanup(api.Close)
	contract.Under(t, api.Client())
	client, err := klarna.New(klarna.Config{BaseURL: api.URL, APIKey: key, HTTPClient: api.Client()})
	must(t, err)
	must(t, client.EnforceMTLS(t.Context(), "NOW"))
	if calls := sim.Calls(); len(calls) != 1 || calls[0].Operation != "enforceMTLS" || calls[0].Status != 204 {
		t.Errorf("Klarna saw %+v", calls)
	}
}
