package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// printer writes what a command found: tables for people, JSON for machines.
type printer struct {
	out  io.Writer
	json bool
}

// column is one column of a table.
type column[T any] struct {
	name string
	of   func(T) string
}

// list prints all of a kind: a table, or a JSON array.
func list[T proto.Message](p printer, all []T, columns []column[T]) error {
	if !p.json {
		return table(p.out, all, columns)
	}
	items := make([]json.RawMessage, 0, len(all))
	for _, one := range all {
		text, err := protojson.Marshal(one)
		if err != nil {
			return err
		}
		items = append(items, text)
	}
	return indented(p.out, items)
}

// one prints one of a kind: its columns below each other, or a JSON object.
func one[T proto.Message](p printer, it T, columns []column[T]) error {
	if p.json {
		text, err := protojson.Marshal(it)
		if err != nil {
			return err
		}
		return indented(p.out, json.RawMessage(text))
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, c := range columns {
		if value := c.of(it); value != "" {
			lines := strings.Split(value, "\n\t")
			for i := range lines {
				lines[i] = printable(lines[i])
			}
			fmt.Fprintf(w, "%s\t%s\n", c.name, strings.Join(lines, "\n\t"))
		}
	}
	return w.Flush()
}

// line prints one of a stream at once: a line of text, or a JSON object on a line.
func line[T proto.Message](p printer, it T, columns []column[T]) error {
	if p.json {
		text, err := protojson.Marshal(it)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := json.Compact(&b, text); err != nil { // protojson varies its spaces
			return err
		}
		_, err = fmt.Fprintln(p.out, b.String())
		return err
	}
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = orDefault(printable(c.of(it)), "-")
	}
	_, err := fmt.Fprintln(p.out, strings.Join(cells, "  "))
	return err
}

func table[T any](out io.Writer, all []T, columns []column[T]) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cell func(column[T]) string) {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = cell(c)
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	row(func(c column[T]) string { return c.name })
	for _, it := range all {
		row(func(c column[T]) string { return orDefault(printable(c.of(it)), "-") })
	}
	return w.Flush()
}

func indented(out io.Writer, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, string(text))
	return err
}

// printable keeps texts of others from moving a terminal's cursor, or worse.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' || !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

func instant(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// word is an enum's value as the commands write it: "partially_operational", empty if it is not set.
func word(e protoreflect.Enum) string {
	value := e.Descriptor().Values().ByNumber(e.Number())
	if value == nil {
		return fmt.Sprint(e.Number())
	}
	if e.Number() == 0 {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), prefixOf(e.Descriptor())))
}

// prefixOf is what all values of an enum begin with, as in STATE_UNSPECIFIED.
func prefixOf(e protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(e.Values().Get(0).Name()), "UNSPECIFIED")
}

// enums is the value of a flag that takes values of an enum by their words, once if it is single.
type enums[E interface {
	~int32
	protoreflect.Enum
}] struct {
	chosen *[]E
	single bool
}

func (e enums[E]) descriptor() protoreflect.EnumDescriptor {
	var none E
	return none.Descriptor()
}

func (e enums[E]) words() (all []string) {
	values := e.descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		all = append(all, word(E(values.Get(i).Number())))
	}
	return all
}

func (e enums[E]) String() string {
	if e.chosen == nil {
		return ""
	}
	var all []string
	for _, v := range *e.chosen {
		all = append(all, word(v))
	}
	return strings.Join(all, ",")
}

func (e enums[E]) Type() string { return "word" }

func (e enums[E]) Set(text string) error {
	if e.single {
		*e.chosen = nil
	}
	for _, name := range strings.Split(text, ",") {
		value := e.descriptor().Values().ByName(protoreflect.Name(prefixOf(e.descriptor()) + strings.ToUpper(name)))
		if value == nil || value.Number() == 0 {
			return fmt.Errorf("%q is none of %s", name, strings.Join(e.words(), ", "))
		}
		*e.chosen = append(*e.chosen, E(value.Number()))
	}
	return nil
}

// enumFlag adds a flag that takes values of an enum, and completes them.
func enumFlag[E interface {
	~int32
	protoreflect.Enum
}](c *cobra.Command, name, usage string, single bool, otherwise ...E) *[]E {
	chosen := slices.Clone(otherwise)
	value := enums[E]{&chosen, single}
	usage += ": " + strings.Join(value.words(), ", ")
	c.Flags().Var(value, name, usage)
	_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(value.words(), cobra.ShellCompDirectiveNoFileComp))
	return &chosen
}

// secretInput reads a secret from a file, or from standard input if the name is "-".
func secretInput(c *cobra.Command, path string) (string, error) {
	if path != "-" {
		return resolve("file:" + path)
	}
	text, err := io.ReadAll(io.LimitReader(c.InOrStdin(), 64<<10))
	return strings.TrimRight(string(text), "\r\n"), err
}

// pages reads all pages, or as many as it takes for limit results; 0 means all. It says so if there are more.
func pages[T any](c *call, limit int, page func(token string, size int32) (some []T, next string, err error)) (all []T, err error) {
	for token := ""; ; {
		size := 500
		if limit > 0 {
			size = min(size, limit-len(all))
		}
		some, next, err := page(token, int32(size))
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); next == "" {
			return all, nil
		}
		if limit > 0 && len(all) >= limit {
			c.PrintErrf("There are more than these %d: -limit 0 has all.\n", len(all))
			return all, nil
		}
		token = next
	}
}

// limitFlag adds -limit.
func limitFlag(c *cobra.Command) *int {
	return c.Flags().Int("limit", 100, "largest `number` of results; 0 for all")
}
