package settle

import "goodcontrol/custody"

// ActAll says which entries several activities call for, each in the state that those
// before it leave. The machine is left as it was: the entries are folded when they are
// posted. The error is about the activity of the index that comes with it; of a batch in
// which one activity is wrong nothing is booked.
func (m *Machine) ActAll(all []custody.Activity, find Finder) (entries []custody.Entry, at int, err error) {
	m.draft = []func(){}
	defer m.rollback()
	drafted := map[custody.Ref]int{}
	look := func(ref custody.Ref) (custody.Entry, bool, error) {
		if i, ok := drafted[ref]; ok {
			return entries[i], true, nil
		}
		return find(ref)
	}
	for i, a := range all {
		called, err := m.Act(a, look)
		if err != nil {
			return nil, i, err
		}
		for _, e := range called {
			if err := m.Apply(e); err != nil {
				return nil, i, err
			}
			drafted[e.Ref] = len(entries)
			entries = append(entries, e)
		}
	}
	return entries, 0, nil
}

// rollback takes back what was folded since the draft began, the last first.
func (m *Machine) rollback() {
	for i := len(m.draft) - 1; i >= 0; i-- {
		m.draft[i]()
	}
	m.draft = nil
}

// put sets a value of one of the machine's maps, so that a draft can be taken back.
func put[K comparable, V any](m *Machine, all map[K]V, k K, v V) {
	if m.draft != nil {
		was, had := all[k]
		m.draft = append(m.draft, func() {
			if had {
				all[k] = was
			} else {
				delete(all, k)
			}
		})
	}
	all[k] = v
}
