package main

import (
	"fmt"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/webhook"
)

// views is what each part needs to know of the merchant accounts. Only operations get credentials.
type views struct {
	policies    map[string]journal.Policy
	operations  []operation.Account
	apis        map[string]operation.API
	defaults    map[operation.API]string
	doors       map[string]webhook.Account
	networkKeys map[string]webhook.NetworkKey
}

func (g *gatewayProcess) accounts() (views, error) {
	v := views{
		policies: map[string]journal.Policy{}, apis: map[string]operation.API{}, defaults: map[operation.API]string{},
		doors: map[string]webhook.Account{}, networkKeys: map[string]webhook.NetworkKey{},
	}
	for _, a := range g.cfg.MerchantAccounts {
		account, err := a.account(func(profile accountConfig) (*klarna.Client, error) {
			web, err := profile.http(g.log)
			if err != nil {
				return nil, err
			}
			with := profile.klarna()
			with.HTTPClient, with.Version, with.Logger, with.Circuits = failing(web), version(), g.log, &g.circuits
			with.Budgets, with.BudgetsOf = &g.budgets, a.Name
			with.Observe, with.Tracer = g.measures.klarnaCalled(a.Name), g.telemetry.tracer()
			return klarna.New(with)
		})
		if err != nil {
			return v, fmt.Errorf("merchant account %q: %w", a.Name, err)
		}
		v.add(a, account)
	}
	return v, nil
}

func (v *views) add(a accountConfig, account operation.Account) {
	api := account.API
	v.operations = append(v.operations, account)
	v.policies[a.Name] = journal.Policy{
		PlaceOrders: a.PlaceOrders == "automatic", AcknowledgeOrders: a.Acknowledge == "automatic", ExtendAuthorizations: a.ExtendAuthorizations,
	}
	v.apis[a.Name] = api
	if a.Default {
		v.defaults[api] = a.Name
	}
	door := webhook.Account{Live: a.Environment == "live", PaymentStatusKeys: map[string]klarna.Secret{}}
	for version, key := range a.PaymentStatusKeys {
		door.PaymentStatusKeys[version] = key.Secret
	}
	for _, s := range a.PushSecrets {
		door.PushSecrets = append(door.PushSecrets, s.Secret)
	}
	v.doors[a.Name] = door
	for id, key := range a.SigningKeys {
		v.networkKeys[id] = webhook.NetworkKey{MerchantAccount: a.Name, Key: key.Secret}
	}
}
