package settle

import "fmt"

// Deals is what the machine keeps of activities, as text.
func (m *Machine) Deals() string {
	deals := map[string]dealState{}
	for ref, d := range m.acts.deals {
		deals[string(ref)] = *d
	}
	return fmt.Sprint(deals, m.acts.done, m.acts.required, m.acts.consents, m.acts.corporate, m.acts.due, m.called, m.at)
}
