package sqlite

import (
	"context"
	"fmt"

	"payments.internal/klarna-gateway/store"
)

// PutBlocks implements store.Engine.
func (e *Engine) PutBlocks(ctx context.Context, blocks []store.Block) error {
	t := &tx{w: e.writer}
	err := e.writer.transaction(ctx, func(ctx context.Context) error {
		for _, b := range blocks {
			_, err := t.exec(ctx, `INSERT INTO blocks (stream, form, merchant_account, after, up_to, body)
				SELECT ?1, ?2, ?3, ?4, ?5, ?6 FROM log WHERE trimmed <= ?4 ON CONFLICT DO NOTHING`,
				b.Stream, b.Form, b.MerchantAccount, b.After, b.UpTo, b.Body)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put blocks: %w", err)
	}
	return nil
}

// Block implements store.Engine.
func (e *Engine) Block(ctx context.Context, stream store.Stream, merchantAccount, form string, after store.Position) (store.Block, error) {
	b := store.Block{Stream: stream, MerchantAccount: merchantAccount, Form: form}
	err := row(ctx, e.reader, `SELECT after, up_to, body FROM blocks INDEXED BY blocks_by_end
		WHERE stream = ? AND form = ? AND merchant_account = ? AND up_to > ? ORDER BY up_to LIMIT 1`,
		[]any{stream, form, merchantAccount, after}, &b.After, &b.UpTo, &b.Body)
	if err != nil {
		return store.Block{}, fmt.Errorf("read block: %w", known(err))
	}
	return b, nil
}

// Packed implements store.Engine.
func (e *Engine) Packed(ctx context.Context, stream store.Stream, form string) (upTo store.Position, err error) {
	err = row(ctx, e.reader, `SELECT coalesce(max(up_to), 0) FROM blocks INDEXED BY blocks_by_end WHERE stream = ? AND form = ?`, []any{stream, form}, &upTo)
	if err != nil {
		return 0, fmt.Errorf("read the end of blocks: %w", err)
	}
	return upTo, nil
}

// DropBlocks implements store.Engine.
func (e *Engine) DropBlocks(ctx context.Context, stream store.Stream, form string, limit int) (int, error) {
	n, err := e.dropBlocks(ctx, `stream = ? AND form <> ?`, stream, form, limit)
	if err != nil {
		return 0, fmt.Errorf("drop blocks: %w", err)
	}
	return n, nil
}

// dropBlocks deletes some blocks, as the last argument says.
func (e *Engine) dropBlocks(ctx context.Context, which string, args ...any) (count int, err error) {
	t := &tx{w: e.writer}
	err = e.writer.transaction(ctx, func(ctx context.Context) error {
		n, err := t.exec(ctx, `DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE `+which+` LIMIT 0 + ?)`, args...)
		count = int(n)
		return err
	})
	return count, err
}
