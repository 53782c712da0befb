package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres"
	"payments.internal/klarna-gateway/store/sqlite"
	"payments.internal/klarna-gateway/webhook"
)

// Below this much free space a disk is full soon, or full.
const (
	littleSpace = 2 << 30
	noSpace     = 256 << 20
)

// dataDir looks at the folder of the embedded database.
func (p *patient) dataDir() {
	if p.cfg.replicas() {
		return
	}
	dir := p.cfg.DataDir
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		p.note("data_dir", dir, fine, "", "it is not there yet; the first start makes it")
		return
	}
	if err != nil || !info.IsDir() {
		p.note("data_dir", dir, broken, "name a folder that the gateway's user owns", "it cannot be used: %v", err)
		return
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		p.note("data_dir", dir, warning, "chmod 700", "others may look into it (%#o)", mode)
	}
	if there(filepath.Join(dir, restoringFile)) {
		p.note("data_dir", dir, broken, "run restore again, or remove "+restoringFile, "a restore was cut off, and the gateway does not start")
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		p.note("disk", dir, warning, "see by df how much is left", "free space is not known: %v", err)
		return
	}
	free := disk.Bavail * uint64(disk.Bsize)
	how, remedy := fine, ""
	if free < littleSpace {
		how, remedy = warning, "make room: a full disk refuses every write"
	}
	if free < noSpace {
		how = broken
	}
	p.note("disk", dir, how, remedy, "%d MiB free", free>>20)
}

// lastBackupFile, in the data directory, is what the last backup was.
const lastBackupFile = "last_backup.json"

// Backups that are older than this are too old to go back to.
const staleBackup = 48 * time.Hour

// lastBackup tells how old the last backup of the embedded database is, as far as this program made it.
func (p *patient) lastBackup() {
	const remedy = "klarna-gateway backup, every day; other ways of making one are not known here"
	text, err := os.ReadFile(filepath.Join(p.cfg.DataDir, lastBackupFile))
	var m manifest
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	age := p.now.Sub(m.Created).Round(time.Minute)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.note("backup", "", warning, remedy, "none was made yet")
	case err != nil:
		p.note("backup", "", warning, remedy, "when the last one was made cannot be read: %v", err)
	case age > staleBackup:
		p.note("backup", "", warning, remedy, "the last one is %s old", age)
	default:
		p.note("backup", "", fine, "", "the last one is %s old, up to position %d", age, m.Position)
	}
}

// database looks at the database and whether the key file is the one that opens it.
func (p *patient) database(ctx context.Context) {
	var schema, known int
	var log string
	var keyring []byte
	if p.cfg.replicas() {
		info, err := postgres.Describe(ctx, p.cfg.Database.Reveal())
		if err != nil {
			p.note("database", "", broken, "see docs/postgres.md", "%v", err)
			return
		}
		if info.Standby {
			p.note("database", "", broken, "name the primary in database", "the server takes no writes: it is a standby")
		}
		if info.Unsynced != "" {
			p.note("database", "", broken, "switch it on", "the server may lose what was committed: %s is off", info.Unsynced)
		}
		p.skew("clock", "of the database", info.Now.Sub(p.now))
		schema, known, log, keyring = info.Schema, postgres.SchemaVersion(), info.Log, info.Keyring
	} else {
		file := filepath.Join(p.cfg.DataDir, databaseFile)
		if !there(file) {
			p.note("database", "", fine, "", "it is not there yet; the first start makes it")
			return
		}
		info, err := sqlite.Inspect(ctx, file, false)
		if err != nil {
			p.note("database", "", broken, "bring it back: klarna-gateway restore", "%v", err)
			return
		}
		schema, known, log, keyring = info.Schema, sqlite.SchemaVersion(), info.Log, info.Keyring
		p.lastBackup()
	}
	switch {
	case schema > known && !p.cfg.replicas():
		p.note("database", "", broken, "start the newer version, or restore the backup of before", "its schema is version %d, and this program knows %d", schema, known)
	case schema > known:
		p.note("database", "", fine, "", "its schema is version %d, of a newer program, and works with this one, which knows %d: an upgrade is under way", schema, known)
	case schema == 0:
		p.note("database", "", fine, "", "it is empty; the first start makes the schema")
		return
	case schema < known:
		p.note("database", "", fine, "", "its schema is version %d; the next start brings it to %d", schema, known)
	default:
		p.note("database", "", fine, "", "schema version %d", schema)
	}
	p.keyFile(ctx, log, keyring)
}

func (p *patient) keyFile(ctx context.Context, log string, keyring []byte) {
	path := p.cfg.keyPath()
	info, err := os.Stat(path)
	if err != nil {
		p.note("key_file", path, broken, "bring it back from its backup: nothing else opens what is sealed", "%v", err)
		return
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		p.note("key_file", path, broken, "chmod 600", "everybody may read it (%#o)", mode)
	}
	keys, err := store.OpenKeyring(path)
	switch {
	case err != nil:
		p.note("key_file", path, broken, "bring it back from its backup", "%v", err)
	case keyring != nil && !hmac.Equal(keyring, keys.DigestFor(log)):
		p.note("key_file", path, broken, "the one that the first start had", "it belongs to another database")
	default:
		p.note("key_file", path, fine, "", "it opens the database")
		p.sealingKeys(ctx, keys)
	}
}

// signingKeys looks whether Klarna's posts can be proven, and for keys past their time.
func (p *patient) signingKeys(ctx context.Context) {
	proving := map[store.SigningKeyID]bool{}
	for _, k := range p.cfg.signingKeys() {
		proving[k] = true
	}
	for _, k := range p.storedKeys(ctx) {
		if len(k.Key) > 0 {
			proving[k.SigningKeyID] = true
		}
		if !k.RevokedAt.IsZero() {
			delete(proving, k.SigningKeyID)
		} else if !k.RetireAt.IsZero() && k.LastUsed.After(k.RetireAt) {
			p.note("signing_keys", k.MerchantAccount+", "+k.ID, warning, "bring the webhook at Klarna to a new key, or retire later",
				"it signs past its retirement of %s", k.RetireAt.UTC().Format(time.RFC3339))
		}
	}
	usable := map[string]bool{}
	for k := range proving {
		usable[k.MerchantAccount] = true
	}
	for _, a := range p.cfg.MerchantAccounts {
		switch {
		case usable[a.Name]:
			p.note("signing_keys", a.Name, fine, "", "Klarna's posts can be proven")
		case a.API == "network":
			p.note("signing_keys", a.Name, warning, "SetUpWebhooks makes one; or signing_keys, or klarna-gateway keys import", "there is none: every webhook is refused")
		}
	}
}

func (p *patient) storedKeys(ctx context.Context) []store.SigningKey {
	engine, err := p.reading(ctx)
	if engine == nil {
		return nil // said elsewhere
	}
	var keys []store.SigningKey
	if err == nil {
		defer engine.Close()
		keys, err = engine.SigningKeys(ctx)
	}
	if err != nil {
		p.note("signing_keys", "", broken, "see what the findings on the database say", "those in the database cannot be read: %v", err)
	}
	return keys
}

// reading opens the database for reading, nil if it has another schema than this program's.
func (p *patient) reading(ctx context.Context) (store.Engine, error) {
	if p.cfg.replicas() {
		info, err := postgres.Describe(ctx, p.cfg.Database.Reveal())
		if err != nil || info.Schema < postgres.SchemaVersion() {
			return nil, err
		}
		return postgres.OpenReading(ctx, p.cfg.Database.Reveal())
	}
	file := filepath.Join(p.cfg.DataDir, databaseFile)
	if info, err := sqlite.Inspect(ctx, file, false); err != nil || info.Schema != sqlite.SchemaVersion() {
		return nil, err
	}
	return sqlite.OpenReading(file), nil
}

// sourceList tries the list of source addresses on those that posts came from.
func (p *patient) sourceList() {
	if p.sources == "" {
		return
	}
	file, err := os.Open(p.sources)
	if err != nil {
		p.note("webhook_sources", "", broken, "name a file that can be read", "%v", err)
		return
	}
	defer file.Close()
	accounts := p.webhookAccounts()
	var seen []netip.Addr
	refused := 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		from, ok := addressIn(lines.Text())
		if !ok || slices.Contains(seen, from) {
			continue
		}
		seen = append(seen, from)
		if in, out := p.cfg.sources().Lists(accounts, from); len(in) == 0 && len(out) > 0 {
			refused++
			p.note("webhook_sources", from.String(), warning, notListed,
				"posts from it would be refused in mode enforce")
		}
	}
	p.note("webhook_sources", "", fine, "", "%s tried, %d would be refused", plural(len(seen), "address"), refused)
}

// notListed is the remedy for an address that the list does not have.
const notListed = "if it is Klarna's put it under webhook_sources.doors; if it is a proxy's name it in trusted_proxies"

func (p *patient) webhookAccounts() map[string]webhook.Account {
	accounts := map[string]webhook.Account{}
	for _, a := range p.cfg.MerchantAccounts {
		accounts[a.Name] = webhook.Account{Live: a.Environment == string(klarna.Live)}
	}
	return accounts
}

// addressIn is the address of a line: alone, or that of an entry of the gateway's log.
func addressIn(line string) (netip.Addr, bool) {
	var entry struct{ Address, Source string }
	if json.Unmarshal([]byte(line), &entry) == nil {
		line = orDefault(entry.Address, entry.Source)
	}
	from, err := netip.ParseAddr(strings.TrimSpace(line))
	return from, err == nil
}

// running says whether the gateway runs here, and is ready.
func (p *patient) running(ctx context.Context) {
	if !p.cfg.admin() || p.cfg.AdminTLS.CertFile != "" {
		p.note("gateway", "", fine, "", "whether it runs here is not known: its admin listener is off, or has TLS")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/readyz", p.cfg.AdminAddress), nil)
	if err != nil {
		return
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		p.note("gateway", "", fine, "", "it does not run here")
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		p.note("gateway", "", warning, "its log says why; GET /readyz names the check", "it runs and is not ready")
		return
	}
	p.note("gateway", "", fine, "", "it runs and is ready")
	p.recentSources(ctx)
}

// recentSources tries the list of source addresses on those that Klarna's posts came from since the gateway was started.
func (p *patient) recentSources(ctx context.Context) {
	var seen []webhook.ProvenSource
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/sources", p.cfg.AdminAddress), nil)
	if err == nil {
		var res *http.Response
		if res, err = (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req); err == nil {
			defer res.Body.Close()
			err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&seen)
		}
	}
	if err != nil {
		p.note("webhook_sources", "", warning, "start the gateway of this version", "where posts came from of late is not known: %v", err)
		return
	}
	refused := 0
	for _, s := range seen {
		_, out := p.cfg.sources().Lists(p.webhookAccounts(), s.Address)
		if slices.Contains(out, s.Door) {
			refused++
			p.note("webhook_sources", s.Address.String(), warning, notListed, "%s of Klarna's came from it to the door %s, and would be refused in mode enforce", plural(int(s.Posts), "post"), s.Door)
		}
	}
	p.note("webhook_sources", "", fine, "", "Klarna's posts came from %s since the gateway was started, of which %d would be refused", plural(len(seen), "source"), refused)
}
