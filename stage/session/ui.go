package session

// UI is how a session tells what it does besides training: how far slow work has got, and what a
// person should know.
type UI struct {
	// Progress begins to count units up to a total (0: not known).
	Progress func(what string, total int64, unit string) Progress
	Warn     func(text string)
}

// Progress is slow work; Done ends it.
type Progress interface {
	Set(done int64)
	Done()
}
