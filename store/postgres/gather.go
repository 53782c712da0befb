package postgres

import "github.com/jackc/pgx/v5"

// What units ask and write is mostly the same, once for each unit. A statement costs more than the rows that it touches, so
// those of one kind that go together are made one.

// gathered are writes of one kind that one statement will do.
type gathered interface {
	fits(queued) bool
	add(queued)
	statement() queued
}

// gather puts the events and the new jobs of a queue into as few statements as can be: one for those up to the next that touches
// the same row. They go before what was queued between them, which touches neither, unless it is to stand alone.
func gather(queue []queued) (sent []queued) {
	type statement struct {
		at int // in sent
		gathered
	}
	var all []statement
	var events, jobs gathered
	for _, q := range queue {
		into, begin := &events, newAppends
		switch {
		case q.event != nil:
		case q.job != nil:
			into, begin = &jobs, newJobs
		default:
			if q.alone {
				events = nil
			}
			if q.alone || q.jobs {
				jobs = nil
			}
			sent = append(sent, q)
			continue
		}
		if *into == nil || !(*into).fits(q) {
			*into = begin()
			all, sent = append(all, statement{len(sent), *into}), append(sent, queued{})
		}
		(*into).add(q)
	}
	for _, s := range all {
		sent[s.at] = s.statement()
	}
	return sent
}

// bundle makes one query of many of a kind, by their arguments. Its rows begin with the number of the question that they answer;
// then come the columns that each has by itself.
type bundle struct {
	columns int
	query   func(asked [][]any) queued
}

// together makes one reading of those that ask the same.
func together(readings []*reading) (joined []*reading) {
	alike := map[*bundle][]*reading{}
	for _, r := range readings {
		if r.bundle != nil {
			alike[r.bundle] = append(alike[r.bundle], r)
		}
	}
	for _, r := range readings {
		switch parts := alike[r.bundle]; {
		case r.bundle == nil || len(parts) == 1:
			joined = append(joined, r)
		case parts[0] == r:
			joined = append(joined, r.bundle.join(parts))
		}
	}
	return joined
}

func (b *bundle) join(parts []*reading) *reading {
	asked := make([][]any, len(parts))
	for n, p := range parts {
		asked[n] = p.args
	}
	hand := func(rows pgx.Rows) error {
		defer rows.Close()
		var n int
		number := make([]any, 1+b.columns)
		for number[0] = &n; rows.Next(); {
			if err := rows.Scan(number...); err != nil {
				return err
			}
			if p := parts[n]; p.err == nil {
				p.err = p.each(answer{rows})
			}
		}
		return rows.Err()
	}
	return &reading{queued: b.query(asked), rows: func(rows pgx.Rows) error {
		err := hand(rows)
		for _, p := range parts {
			if p.err == nil {
				p.err = err
			}
		}
		return err
	}}
}

// answer is a row of a bundle, as its question expects it.
type answer struct{ pgx.Rows }

func (a answer) Scan(into ...any) error { return a.Rows.Scan(append([]any{nil}, into...)...) }
