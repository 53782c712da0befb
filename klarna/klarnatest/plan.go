package klarnatest

import (
	"errors"
	"fmt"
	"io"
	"time"

	"go.yaml.in/yaml/v3"
)

// Plan is what goes wrong: faults of calls and of posts, in the order they are used up.
type Plan struct {
	Faults []Fault
	Hooks  []HookFault
}

// planText is a Plan as it is written, in YAML and in the JSON of admin calls. Durations are Go's.
type planText struct {
	Faults []faultText `json:"faults" yaml:"faults"`
	Hooks  []hookText  `json:"hooks" yaml:"hooks"`
}

type faultText struct {
	Operation  string   `json:"operation" yaml:"operation"`
	Times      int      `json:"times" yaml:"times"`
	After      int      `json:"after" yaml:"after"`
	Status     int      `json:"status" yaml:"status"`
	Code       string   `json:"code" yaml:"code"`
	Messages   []string `json:"messages" yaml:"messages"`
	Parameters []string `json:"parameters" yaml:"parameters"`
	Body       string   `json:"body" yaml:"body"`
	NoBody     bool     `json:"no_body" yaml:"no_body"`
	Truncate   bool     `json:"truncate" yaml:"truncate"`
	Delay      string   `json:"delay" yaml:"delay"`
	Cut        bool     `json:"cut" yaml:"cut"`
	LoseAnswer bool     `json:"lose_answer" yaml:"lose_answer"`
}

type hookText struct {
	Kind      string `json:"kind" yaml:"kind"`
	Type      string `json:"type" yaml:"type"`
	Operation string `json:"operation" yaml:"operation"`
	Times     int    `json:"times" yaml:"times"`
	Drop      bool   `json:"drop" yaml:"drop"`
	Duplicate bool   `json:"duplicate" yaml:"duplicate"`
	Overtaken bool   `json:"overtaken" yaml:"overtaken"`
	Late      string `json:"late" yaml:"late"`
}

// ReadPlan reads a plan in YAML. A word that it does not know is an error, and so is a plan that could not be arranged.
func ReadPlan(r io.Reader) (Plan, error) {
	var text planText
	decoder := yaml.NewDecoder(r)
	decoder.KnownFields(true)
	if err := decoder.Decode(&text); err != nil && !errors.Is(err, io.EOF) {
		return Plan{}, fmt.Errorf("read fault plan: %w", err)
	}
	plan, err := text.plan()
	if err == nil {
		err = plan.check()
	}
	if err != nil {
		return Plan{}, fmt.Errorf("read fault plan: %w", err)
	}
	return plan, nil
}

// Arrange arranges all of a plan, or nothing of it.
func (s *Server) Arrange(p Plan) error {
	if err := p.check(); err != nil {
		return err
	}
	for _, f := range p.Faults {
		if err := s.Fail(f); err != nil {
			return err
		}
	}
	for _, f := range p.Hooks {
		if err := s.FailHook(f); err != nil {
			return err
		}
	}
	return nil
}

func (p Plan) check() error {
	var flaws []error
	for _, f := range p.Faults {
		flaws = append(flaws, f.check())
	}
	for _, f := range p.Hooks {
		flaws = append(flaws, f.check())
	}
	return errors.Join(flaws...)
}

func (t planText) plan() (p Plan, err error) {
	for _, text := range t.Faults {
		f, err := text.fault()
		if err != nil {
			return p, err
		}
		p.Faults = append(p.Faults, f)
	}
	for _, text := range t.Hooks {
		f, err := text.fault()
		if err != nil {
			return p, err
		}
		p.Hooks = append(p.Hooks, f)
	}
	return p, nil
}

func (t faultText) fault() (Fault, error) {
	delay, err := span(t.Delay)
	return Fault{
		Operation: t.Operation, Times: t.Times, After: t.After, Status: t.Status, Code: t.Code, Messages: t.Messages, Parameters: t.Parameters,
		Body: t.Body, NoBody: t.NoBody, Truncate: t.Truncate, Delay: delay, Cut: t.Cut, LoseAnswer: t.LoseAnswer,
	}, err
}

func (t hookText) fault() (HookFault, error) {
	late, err := span(t.Late)
	return HookFault{
		Kind: t.Kind, Type: t.Type, Operation: t.Operation, Times: t.Times, Drop: t.Drop, Duplicate: t.Duplicate, Overtaken: t.Overtaken, Late: late,
	}, err
}

// span reads a duration; nothing is none.
func span(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("duration %q: %w", text, errBody)
	}
	return d, nil
}
