package session

import "steplm/model/advice"

// need is options of which one is needed, and whether one is there.
type need struct {
	any   []advice.Option
	there bool
}

// complete refuses a Spec that lacks what every run needs, or has numbers that are none.
func (s Spec) complete() error {
	missing := &Missing{}
	for _, need := range []need{
		{[]advice.Option{"data"}, len(s.Data.Train) > 0}, {[]advice.Option{"tokenizer"},
			s.Data.Tokenizer != ""}, {[]advice.Option{"out"}, s.Output.Out != ""},
		s.length(), {[]advice.Option{"init"}, s.Model.Init != "" || !s.Tuning.On()},
	} {
		if !need.there {
			missing.Options = append(missing.Options, need.any)
		}
	}
	if len(missing.Options) > 0 {
		return missing
	}
	for _, n := range []struct {
		option advice.Option
		value  int64
	}{
		{"save_every", int64(s.Output.SaveEvery)}, {"keep", int64(s.Output.Keep)},
		{"eval_every", int64(s.Evaluation.EvalEvery)}, {"eval_tokens", s.Evaluation.EvalTokens},
		{"final_eval_tokens", s.Evaluation.FinalEvalTokens},
		{advice.SampleEvery, int64(s.Evaluation.SampleEvery)},
	} {
		if n.value < 0 {
			return badOption(n.option, n.value, "it must be 0 or more")
		}
	}
	if err := s.Output.checkLog(); err != nil {
		return err
	}
	if err := s.Tuning.check(s); err != nil {
		return err
	}
	return s.Data.Check()
}

// length is what says how long the run is.
func (s Spec) length() need {
	c := s.Schedule
	if s.Tuning.On() {
		return need{Lengths, c.Steps != 0 || c.Tokens != 0 || c.FLOPs != 0 || c.Epochs != 0}
	}
	return need{[]advice.Option{optionSteps, optionTokens, advice.FLOPs}, c.Steps != 0 || c.Tokens != 0 || c.FLOPs != 0}
}
