package operation

import (
	"context"

	"payments.internal/klarna-gateway/klarna"
)

// CreateProgramEnablement enables a payment program at a partner.
func (o *Operations) CreateProgramEnablement(ctx context.Context, req Request, accountID string, in klarna.ProgramEnablement) (klarna.ProgramEnablement, error) {
	return ownWrite(ctx, o, req, "createProgramEnablement", func(ctx context.Context, c *klarna.Client, try attempt) (klarna.ProgramEnablement, error) {
		if try.stale {
			return klarna.ProgramEnablement{}, forgotten("program enablement")
		}
		return c.CreateProgramEnablement(ctx, try.key, accountID, in)
	})
}

// DeleteProgramEnablement ends an enablement.
func (o *Operations) DeleteProgramEnablement(ctx context.Context, req Request, accountID, id string) error {
	_, err := ownWrite(ctx, o, req, "deleteProgramEnablement", func(ctx context.Context, c *klarna.Client, try attempt) (none struct{}, err error) {
		before, err := try.open(func() error { return c.DeleteProgramEnablement(ctx, accountID, id) })
		if before && gone(err) { // the attempt whose answer was lost did it
			err = nil
		}
		return none, err
	})
	return err
}
