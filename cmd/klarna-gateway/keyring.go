package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres"
	"payments.internal/klarna-gateway/store/sqlite"
)

func keyringCommand() *cobra.Command {
	c := &cobra.Command{Use: "keyring", Short: "make the key file that replicas on one database share, or rotate its sealing key", Args: cobra.NoArgs}
	path := c.Flags().String("out", "", "key `file` to make")
	add := c.Flags().String("add", "", "key `file` to which a sealing key is added that does not seal yet")
	promote := c.Flags().String("promote", "", "key `file` whose newest sealing key is to seal from now on")
	c.MarkFlagsMutuallyExclusive("out", "add", "promote")
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case *add != "":
			return store.AddSealingKey(*add)
		case *promote != "":
			return store.PromoteSealingKey(*promote)
		}
		return makeKeyring(*path, c.OutOrStdout())
	}
	c.AddCommand(keyringStatusCommand(), keyringResealCommand(), keyringRemoveCommand())
	return c
}

// makeKeyring makes a key file for replicas to share.
func makeKeyring(path string, out io.Writer) error {
	if path == "" {
		return errors.New("-out: the name of the key file is required")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("key file: %s is there already", path)
	}
	if _, err := store.OpenKeyring(path); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	_, err := fmt.Fprintf(out, "%s made. Give it to every replica, and back it up apart from the database: without it everything sealed is lost.\n", path)
	return err
}

func keyringStatusCommand() *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "count what is under which sealing key", Args: cobra.NoArgs,
		Long: `Counts what the database keeps under which sealing key of the key file, by reading all of it once. It changes nothing, and
works while the gateway does.`}
	host := hostFlags(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := host.any()
		if err != nil {
			return err
		}
		found, uses, err := sealed(c.Context(), cfg)
		if err != nil {
			return err
		}
		if *asJSON {
			return indented(c.OutOrStdout(), struct {
				Keys          []keyUse `json:"keys"`
				SubjectValues int64    `json:"subject_values"`
			}{uses, found.Subjects})
		}
		return printKeyUses(c.OutOrStdout(), uses, found.Subjects)
	}
	return c
}

func keyringRemoveCommand() *cobra.Command {
	c := &cobra.Command{Use: "remove", Short: "take old sealing keys under which nothing is left out of the key file", Args: cobra.NoArgs,
		Long: `Takes the sealing keys that are older than the one that seals out of the key file, once nothing in the database is under
them; it refuses before, and says how much is. Backups from before the last reseal need the old key file still: keep it
with them.`}
	host := hostFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := host.any()
		if err != nil {
			return err
		}
		found, _, err := sealed(c.Context(), cfg)
		if err != nil {
			return err
		}
		removed, err := store.RemoveSealingKeys(cfg.keyPath(), found)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "Removed: %v. Give the file to every replica and restart each; backups from before the last reseal need the file as it was.\n", removed)
		return err
	}
	return c
}

// keyUse is what is under a sealing key.
type keyUse struct {
	Key     string `json:"key"`
	Seals   bool   `json:"seals"`
	Missing bool   `json:"missing,omitempty"` // from the key file
	Values  int64  `json:"values"`
}

func printKeyUses(out io.Writer, uses []keyUse, subjects int64) error {
	err := table(out, uses, []column[keyUse]{
		{"KEY", func(u keyUse) string { return u.Key }},
		{"SEALS", func(u keyUse) string { return yes(u.Seals) }},
		{"MISSING", func(u keyUse) string { return yes(u.Missing) }},
		{"VALUES", func(u keyUse) string { return fmt.Sprint(u.Values) }},
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d more are under the keys of payments and accounts, which are under one of these.\n", subjects)
	return err
}

// sealed counts what is in the database, beside whoever works with it.
func sealed(ctx context.Context, cfg config) (found store.Resealing, uses []keyUse, err error) {
	keys, err := readKeys(cfg.keyPath())
	if err != nil {
		return found, nil, err
	}
	engine, err := openReading(ctx, cfg)
	if err != nil {
		return found, nil, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	for more := true; more; more = found.Next != "" {
		part, err := store.CountSealed(ctx, engine, found.Next, time.Minute)
		if err != nil {
			return found, nil, err
		}
		found.Add(part)
	}
	known, seals := keys.SealingKeys()
	for _, id := range known {
		uses = append(uses, keyUse{Key: id.String(), Seals: id == seals, Values: found.Keyring[id]})
	}
	for _, id := range slices.SortedFunc(maps.Keys(found.Keyring), func(a, b store.KeyID) int { return cmp.Compare(a, b) }) {
		if !slices.Contains(known, id) {
			uses = append(uses, keyUse{Key: id.String(), Missing: true, Values: found.Keyring[id]})
		}
	}
	return found, uses, nil
}

// openReading opens the database for reading, beside whoever works with it.
func openReading(ctx context.Context, cfg config) (store.Engine, error) {
	if cfg.replicas() {
		return opened(postgres.OpenReading(ctx, cfg.Database.Reveal()))
	}
	file := filepath.Join(cfg.DataDir, databaseFile)
	info, err := sqlite.Inspect(ctx, file, false)
	if err != nil {
		return nil, err
	}
	if info.Schema != sqlite.SchemaVersion() {
		return nil, fmt.Errorf("database: its schema is version %d, and this program reads %d: start this version once", info.Schema, sqlite.SchemaVersion())
	}
	return sqlite.OpenReading(file), nil
}

func keyringResealCommand() *cobra.Command {
	c, _ := remoteCommand("reseal", "have a running gateway seal anew what is not under the key that seals", cobra.NoArgs, func(c *call, _ []string) error {
		done, err := c.reseal(false)
		if err != nil {
			return err
		}
		left, err := c.reseal(true)
		if err != nil {
			return err
		}
		if c.json {
			left.RowsResealed = done.GetRowsResealed()
			return one(c.printer, left, nil)
		}
		var uses []keyUse
		var old int64
		for _, k := range left.GetKeys() {
			uses = append(uses, keyUse{k.GetKeyId(), k.GetSeals(), k.GetMissing(), k.GetValues()})
			if !k.GetSeals() {
				old += k.GetValues()
			}
		}
		if _, err := fmt.Fprintf(c.out, "%d rows were sealed anew.\n", done.GetRowsResealed()); err != nil {
			return err
		}
		if err := printKeyUses(c.out, uses, left.GetSubjectValues()); err != nil {
			return err
		}
		if old > 0 {
			return fmt.Errorf("%d values are not under the key that seals: does another replica seal with an older key file still? restart it, and run this again", old)
		}
		if n := len(uses); n > 0 && !uses[n-1].Seals {
			return errors.New("the newest key of the key file does not seal: keyring -promote, restart, and run this again")
		}
		return nil
	})
	return c
}

// reseal walks to the end, and sums up.
func (c *call) reseal(countOnly bool) (*gatewayv1.ResealResponse, error) {
	sum, values := &gatewayv1.ResealResponse{}, map[string]int64{}
	for next, more := "", true; more; more = next != "" {
		ctx, cancel := c.in()
		res, err := gatewayv1.NewOperatorServiceClient(c.conn).Reseal(ctx, &gatewayv1.ResealRequest{
			RequestId: uuid.NewString(), PageToken: next, CountOnly: countOnly,
		})
		cancel()
		if err != nil {
			return nil, err
		}
		next = res.GetNextPageToken()
		sum.Rows, sum.RowsResealed = sum.GetRows()+res.GetRows(), sum.GetRowsResealed()+res.GetRowsResealed()
		sum.SubjectValues += res.GetSubjectValues()
		sum.Keys = slices.Clone(res.GetKeys())
		for _, k := range sum.GetKeys() {
			values[k.GetKeyId()] += k.GetValues()
		}
		if !countOnly {
			c.PrintErrf("%d rows looked at, %d sealed anew\n", sum.GetRows(), sum.GetRowsResealed())
		}
	}
	for _, k := range sum.GetKeys() {
		k.Values = values[k.GetKeyId()]
		delete(values, k.GetKeyId())
	}
	for id, n := range values { // met on the way, and not in the last part
		sum.Keys = append(sum.Keys, &gatewayv1.SealingKeyUse{KeyId: id, Missing: true, Values: n})
	}
	return sum, nil
}
