package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// TestDocument_ConfigurationIsWhatTheCodeReads holds docs/configuration.md to the structs, their comments, their defaults
// and the variables of the environment. A key without a comment has no place there.
func TestDocument_ConfigurationIsWhatTheCodeReads(t *testing.T) {
	t.Parallel()
	d := &configDocument{t: t, structs: map[string]*ast.TypeSpec{}, comments: map[string]string{}, titles: map[string]string{}}
	d.read()
	var defaults config
	defaults.defaults()
	d.write(reflect.ValueOf(defaults))
	const path = "../../docs/configuration.md"
	if *update {
		if err := os.WriteFile(path, d.out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, d.out.Bytes()) {
		t.Errorf("docs/configuration.md is not what the code says: go test ./cmd/klarna-gateway -run Document -update (%v)", err)
	}
}

type configDocument struct {
	t        *testing.T
	structs  map[string]*ast.TypeSpec
	comments map[string]string // of the types
	titles   map[string]string // of the sections, by type
	out      bytes.Buffer
}

// read takes in the types of this package.
func (d *configDocument) read() {
	files, err := filepath.Glob("*.go")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, decl := range file.Decls {
			types, is := decl.(*ast.GenDecl)
			if !is {
				continue
			}
			for _, spec := range types.Specs {
				if spec, is := spec.(*ast.TypeSpec); is {
					d.structs[spec.Name.Name], d.comments[spec.Name.Name] = spec, plain(types.Doc)
				}
			}
		}
	}
}

// called puts a key where a comment begins with what it is called in Go.
func called(text, name, key string) string {
	if rest, begins := strings.CutPrefix(text, name); begins && (rest[0] == ' ' || rest[0] == ':') {
		return "`" + key + "`" + rest
	}
	return text
}

// plain is a comment as one line.
func plain(comment *ast.CommentGroup) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(comment.Text()), " "), "|", "\\|")
}

func (d *configDocument) write(defaults reflect.Value) {
	d.out.WriteString(`# Configuration

Made from the code; do not edit. ` + "`go test ./cmd/klarna-gateway -run Document -update`" + ` makes it anew.

` + "`klarna-gateway serve -config FILE`" + ` reads a YAML file with these keys; [config.example.yaml](config.example.yaml) is a whole one. Variables of the environment stand above the file. Unknown
keys are refused, and all mistakes are told at once. A secret may be written as ` + "`env:NAME` or `file:PATH`" + `, so that the file holds none. Durations are written as ` + "`90s`, `5m` or `48h`" + `, addresses as ` + "`host:port`" + `.
`)
	d.section("config", "Top level", defaults)
	d.out.WriteString("\n## One merchant account from the environment\n\n" +
		"`KLARNA_USERNAME` and `KLARNA_PASSWORD`, or `KLARNA_API_KEY`, make a merchant account named `default`, with `KLARNA_API` (default `regional`), `KLARNA_ENVIRONMENT`, `KLARNA_REGION` and `KLARNA_BASE_URL`.\n")
}

// section writes the keys of a struct, and then a section for each struct that they lead to.
func (d *configDocument) section(name, title string, defaults reflect.Value) {
	fmt.Fprintf(&d.out, "\n## %s\n\n", title)
	if text := d.comments[name]; text != "" && name != "config" {
		fmt.Fprintf(&d.out, "%s\n\n", called(text, name, d.titles[name]))
	}
	d.out.WriteString("| Key | Type | Default | Environment | Meaning |\n|---|---|---|---|---|\n")
	var below [][2]string
	env := variables()
	d.rows(name, defaults, env, &below)
	for _, b := range below {
		d.section(b[0], "`"+b[1]+"`", reflect.Value{})
	}
}

func (d *configDocument) rows(name string, defaults reflect.Value, env map[string]string, below *[][2]string) {
	fields := d.structs[name].Type.(*ast.StructType).Fields.List
	for _, f := range fields {
		if f.Tag == nil {
			continue // not a key
		}
		key := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("yaml")
		if key == ",inline" {
			inner := f.Type.(*ast.Ident).Name
			value := reflect.Value{}
			if defaults.IsValid() {
				value = defaults.FieldByName(inner)
			}
			d.rows(inner, value, env, below)
			continue
		}
		kind, leads := d.kind(f.Type)
		if leads != "" {
			if d.titles[leads] == "" {
				d.titles[leads] = key
				*below = append(*below, [2]string{leads, key})
			}
			kind += fmt.Sprintf("[`%[1]s`](#%[1]s)", d.titles[leads])
		}
		text := called(orDefault(plain(f.Doc), plain(f.Comment)), f.Names[0].Name, key)
		if text == "" {
			d.t.Errorf("%s.%s: %s has no comment", name, f.Names[0].Name, key)
		}
		otherwise, variable := "", ""
		if defaults.IsValid() {
			otherwise = shown(defaults.FieldByName(f.Names[0].Name))
			if variable = env[key]; variable != "" {
				variable = "`" + variable + "`"
			}
		}
		fmt.Fprintf(&d.out, "| `%s` | %s | %s | %s | %s |\n", key, kind, otherwise, variable, text)
	}
}

// kind names a type for people, and the struct that it leads to.
func (d *configDocument) kind(of ast.Expr) (kind, leads string) {
	switch of := of.(type) {
	case *ast.ArrayType:
		kind, leads = d.kind(of.Elt)
		return "list of " + kind, leads
	case *ast.MapType:
		kind, leads = d.kind(of.Value)
		return "map to " + kind, leads
	case *ast.SelectorExpr:
		name, known := map[string]string{"Duration": "duration", "Time": "time", "Prefix": "address range", "Rate": "number"}[of.Sel.Name]
		if !known {
			name = "word"
		}
		return name, ""
	case *ast.Ident:
		switch of.Name {
		case "string":
			return "text", ""
		case "bool":
			return "true or false", ""
		case "int", "int64", "float64":
			return "number", ""
		case "secret":
			return "secret", ""
		}
		return "", of.Name
	}
	d.t.Fatalf("a type that the document has no word for: %T", of)
	return "", ""
}

// shown is a default as it is written in YAML; empty if it is nothing.
func shown(v reflect.Value) string {
	if v.IsZero() {
		return ""
	}
	switch value := v.Interface().(type) {
	case time.Duration:
		return "`" + strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(value.String()) + "`"
	case string, bool, int, int64, float64:
		return fmt.Sprintf("`%v`", value)
	}
	switch v.Kind() {
	case reflect.String:
		return fmt.Sprintf("`%v`", v)
	case reflect.Slice:
		return "`" + strings.ReplaceAll(fmt.Sprint(v.Interface()), " ", ", ") + "`"
	}
	return ""
}

// variables are those of the environment that set a key of the top level, found by trying: each is given a word of its
// own, and stands where the word turns up.
func variables() map[string]string {
	var c config
	c.environment(func(name string) string {
		if !strings.HasPrefix(name, "KLARNA_GATEWAY_") {
			return ""
		}
		return "word of " + name
	})
	found := map[string]string{}
	var look func(v reflect.Value, prefix string)
	look = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			f, tag := v.Type().Field(i), v.Type().Field(i).Tag.Get("yaml")
			value := v.Field(i)
			switch {
			case tag == ",inline":
				look(value, prefix)
			case f.Type == reflect.TypeFor[secret]():
				if s := value.Interface().(secret).Reveal(); s != "" {
					found[prefix+tag] = strings.TrimPrefix(s, "word of ")
				}
			case value.Kind() == reflect.String && value.String() != "" && tag != "":
				found[prefix+tag] = strings.TrimPrefix(value.String(), "word of ")
			case value.Kind() == reflect.Struct && tag != "":
				look(value, prefix+tag+".")
			}
		}
	}
	look(reflect.ValueOf(c), "")
	for _, key := range slices.Sorted(maps.Keys(found)) { // webhook_tls.cert_file stands at webhook_tls
		if top, _, deep := strings.Cut(key, "."); deep {
			found[top] = strings.Join(append(texts(found[top]), found[key]), "`, `")
			delete(found, key)
		}
	}
	return found
}
