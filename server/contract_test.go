package server

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"

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
