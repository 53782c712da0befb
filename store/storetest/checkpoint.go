package storetest

import (
	"testing"

	"payments.internal/klarna-gateway/store"
)

var checkpointPromises = []promise{{"CheckpointsAreKeptPerCaller", checkpointsAreKeptPerCaller}}

func checkpointsAreKeptPerCaller(t *testing.T, e store.Engine) {
	list := []store.Checkpoint{
		{Caller: "", Name: "a", Watch: "payments", Token: "t1", Position: 5, UpdatedAt: at(1)},
		{Caller: "books", Name: "a", Watch: "payments", Token: "t2", Position: 3, UpdatedAt: at(2)},
		{Caller: "books", Name: "b", Watch: "accounts", Token: "t3", Position: 9, UpdatedAt: at(3)},
	}
	for _, c := range list {
		commit(t, e, func(tx store.Tx) error { return tx.PutCheckpoint(t.Context(), c) })
	}
	moved := list[1]
	moved.Token, moved.Position, moved.UpdatedAt = "t4", 7, at(4)
	commit(t, e, func(tx store.Tx) error {
		if err := tx.PutCheckpoint(t.Context(), moved); err != nil {
			return err
		}
		got, err := tx.Checkpoint(t.Context(), "books", "a")
		equal(t, "inside", got, moved)
		_, missing := tx.Checkpoint(t.Context(), "books", "c")
		isNotFound(t, "inside", missing)
		return err
	})
	got, err := e.Checkpoint(t.Context(), "books", "a")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "read", got, moved)
	_, err = e.Checkpoint(t.Context(), "", "b")
	isNotFound(t, "of another caller", err)
	read := func(found []store.Checkpoint, err error) []store.Checkpoint {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	equal(t, "list", read(e.Checkpoints(t.Context(), "books", "", 10)), []store.Checkpoint{moved, list[2]})
	equal(t, "page", read(e.Checkpoints(t.Context(), "books", "a", 1)), []store.Checkpoint{list[2]})
	equal(t, "before", read(e.CheckpointsBefore(t.Context(), 9, 10)), []store.Checkpoint{list[0], moved})
	equal(t, "before, first", read(e.CheckpointsBefore(t.Context(), 9, 1)), []store.Checkpoint{list[0]})
	for range 2 {
		commit(t, e, func(tx store.Tx) error { return tx.DeleteCheckpoint(t.Context(), "books", "a") })
	}
	equal(t, "after the deletion", read(e.Checkpoints(t.Context(), "books", "", 10)), []store.Checkpoint{list[2]})
}
