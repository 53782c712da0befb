package postgres

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

const (
	putBlock = `INSERT INTO blocks (stream, form, merchant_account, after, up_to, body)
		SELECT $1, $2, $3, $4, $5, $6 FROM log WHERE trimmed <= $4 ON CONFLICT DO NOTHING`
	blockQuery = `SELECT after, up_to, body FROM blocks WHERE stream = $1 AND form = $2 AND merchant_account = $3 AND up_to > $4
		ORDER BY up_to LIMIT 1`
	dropBlocks      = `DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE `
	dropOtherBlocks = dropBlocks + `stream = $1 AND form <> $2 LIMIT $3)`
	dropOldBlocks   = dropBlocks + `after < $1 LIMIT $2)`
)

// PutBlocks implements store.Engine. Nobody waits for it: it does not take the log's row.
func (e *Engine) PutBlocks(ctx context.Context, blocks []store.Block) error {
	for _, b := range blocks {
		if _, err := e.exec(ctx, putBlock, b.Stream, b.Form, b.MerchantAccount, b.After, b.UpTo, b.Body); err != nil {
			return fmt.Errorf("put block: %w", err)
		}
	}
	return nil
}

// Block implements store.Engine.
func (e *Engine) Block(ctx context.Context, stream store.Stream, merchantAccount, form string, after store.Position) (store.Block, error) {
	b := store.Block{Stream: stream, MerchantAccount: merchantAccount, Form: form}
	_, err := row(ctx, e, blockQuery, []any{stream, form, merchantAccount, after}, func(row scanner) (struct{}, error) {
		return struct{}{}, row.Scan(&b.After, &b.UpTo, &b.Body)
	})
	if err != nil {
		return store.Block{}, fmt.Errorf("read block: %w", err)
	}
	return b, nil
}

// Packed implements store.Engine.
func (e *Engine) Packed(ctx context.Context, stream store.Stream, form string) (store.Position, error) {
	upTo, err := row(ctx, e, `SELECT coalesce(max(up_to), 0) FROM blocks WHERE stream = $1 AND form = $2`, []any{stream, form},
		func(row scanner) (p store.Position, err error) { return p, row.Scan(&p) })
	if err != nil {
		return 0, fmt.Errorf("read the end of blocks: %w", err)
	}
	return upTo, nil
}

// DropBlocks implements store.Engine.
func (e *Engine) DropBlocks(ctx context.Context, stream store.Stream, form string, limit int) (int, error) {
	n, err := e.exec(ctx, dropOtherBlocks, stream, form, limit)
	if err != nil {
		return 0, fmt.Errorf("drop blocks: %w", err)
	}
	return n, nil
}

// exec runs a statement in a transaction of its own and returns how many rows it was about.
func (e *Engine) exec(ctx context.Context, text string, args ...any) (int, error) {
	bounded, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	tag, err := e.writers.Exec(bounded, text, args...)
	if err != nil && ctx.Err() == nil {
		err = away(err)
	}
	return int(tag.RowsAffected()), err
}
