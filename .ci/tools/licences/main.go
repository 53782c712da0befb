// Command licences reads a CycloneDX bill of materials from standard input and fails, naming each module, if one has
// no licence that was found, or one that is not permissive. It lists what it counted.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// permissive are the licences under which a module may be linked. BSD-Source-Code is how the detector reads the Go
// project's own BSD-3-Clause text.
var permissive = map[string]bool{
	"Apache-2.0": true, "MIT": true, "MIT-0": true, "BSD-2-Clause": true, "BSD-3-Clause": true, "BSD-Source-Code": true,
	"ISC": true, "0BSD": true, "Unlicense": true, "CC0-1.0": true,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func run() error {
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(os.Stdin, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		return fmt.Errorf("read bill of materials: %w", err)
	}
	if bom.Components == nil || len(*bom.Components) == 0 {
		return fmt.Errorf("the bill of materials names no module")
	}
	counts, flaws := map[string]int{}, []string{}
	for _, c := range *bom.Components {
		found := licencesOf(c)
		if len(found) == 0 {
			flaws = append(flaws, fmt.Sprintf("%s %s: no licence was found", c.Name, c.Version))
		}
		for _, licence := range found {
			counts[licence]++
			if !permissive[licence] {
				flaws = append(flaws, fmt.Sprintf("%s %s: %s is not on the list of permissive licences", c.Name, c.Version, licence))
			}
		}
	}
	if len(flaws) > 0 {
		return fmt.Errorf("%s", strings.Join(flaws, "\n"))
	}
	names := make([]string, 0, len(counts))
	for name, n := range counts {
		names = append(names, fmt.Sprintf("%d %s", n, name))
	}
	sort.Strings(names)
	fmt.Printf("licences: %d modules in the binary, all permissive (%s)\n", len(*bom.Components), strings.Join(names, ", "))
	return nil
}

// licencesOf are the SPDX ids that a component declares or that were found in its files.
func licencesOf(c cdx.Component) (ids []string) {
	choices := c.Licenses
	if c.Evidence != nil && c.Evidence.Licenses != nil {
		choices = c.Evidence.Licenses
	}
	if choices == nil {
		return nil
	}
	for _, choice := range *choices {
		if choice.License != nil && choice.License.ID != "" {
			ids = append(ids, choice.License.ID)
		}
	}
	return ids
}
