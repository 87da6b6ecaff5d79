package scope

import (
	"time"

	"github.com/berth-project/berth/unit"
)

// DefaultsConfig is what differs between containers in Defaults.
type DefaultsConfig struct {
	Description string
	Slice       string        // "" means machine.slice
	StopTimeout time.Duration // 0 means systemd's default
	After       []string      // usually berthd.service
}

// Defaults are the properties every container scope gets.
func Defaults(c DefaultsConfig) []unit.Property { return nil }
