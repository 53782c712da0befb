package store

import (
	"context"
	"slices"
)

const (
	// resealChunk is how many rows are read at once, and resealed in one unit at most.
	resealChunk = 100
	// resealBlocks is how many blocks are: each holds a page of events.
	resealBlocks = 4
	// resealBytes bounds what one unit writes, for commits wait meanwhile. A larger row has a unit of its own.
	resealBytes = 1 << 20
)

// chunk is how many rows of the shelf are read at once.
func (s Shelf) chunk() int {
	if s.Table == "blocks" {
		return resealBlocks
	}
	return resealChunk
}

// resealChunk seals those rows anew that need it, in units of bounded size, and puts what stands there then into rows.
func (s *Store) resealChunk(ctx context.Context, on Shelf, rows []SealedRow) (count int64, err error) {
	var stale []int
	size := 0
	flush := func() error {
		n, err := s.resealUnit(ctx, on, rows, stale)
		count, stale, size = count+n, stale[:0], 0
		return err
	}
	for i, row := range rows {
		needs, err := s.needsReseal(on, row)
		if err != nil {
			return count, err
		}
		if !needs {
			continue
		}
		if size > 0 && size+row.size() > resealBytes {
			if err := flush(); err != nil {
				return count, err
			}
		}
		stale, size = append(stale, i), size+row.size()
	}
	err = flush()
	return count, err
}

// size is that of the values.
func (r SealedRow) size() (n int) {
	for _, value := range r.Values {
		n += len(value)
	}
	return n
}

// resealUnit seals some of the rows anew in one unit.
func (s *Store) resealUnit(ctx context.Context, on Shelf, rows []SealedRow, stale []int) (count int64, err error) {
	if len(stale) == 0 {
		return 0, nil
	}
	old := slices.Clone(rows)
	err = s.do(ctx, func(t *sealedTx) error {
		count = 0
		for _, i := range stale {
			fresh, err := s.reseal(ctx, t, on, old[i])
			if err != nil {
				return err
			}
			if err := t.Tx.Reseal(ctx, on, old[i], fresh); err != nil {
				return err
			}
			rows[i].Values = fresh
			count++
		}
		return nil
	})
	return count, err
}
