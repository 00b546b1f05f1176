package offchain

// OnStep has f called before and after each thing that the inbox does on the disk.
// An error of f is that thing's error.
func (in *Inbox) OnStep(f func(act, path string) error) { in.step = f }
