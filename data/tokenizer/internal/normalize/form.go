package normalize

// Form is one of Unicode's normalization forms: NFC, NFD, NFKC or NFKD.
type Form struct {
	Type string `json:"type"`
}

// Part is the normalizer.
func (f *Form) Part() Normalizer { return f }

// Check finds nothing to refuse.
func (f *Form) Check() error { return nil }

// Normalize puts text into the form.
func (f *Form) Normalize(text string) (string, error) {
	switch f.Type {
	case "NFC":
		return nfc(text), nil
	case "NFD":
		return nfd(text), nil
	case "NFKC":
		return nfkc(text), nil
	}
	return nfkd(text), nil
}
