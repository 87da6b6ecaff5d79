package client

import (
	"context"
	"slices"
	"strings"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/godbus/dbus/v5"
)

// Containers returns the properties of all containers in one call, sorted by id.
func (c *Client) Containers(ctx context.Context) ([]Properties, error) {
	var objects map[dbus.ObjectPath]map[string]map[string]dbus.Variant
	method := wire.ObjectManagerInterface + ".GetManagedObjects"
	if err := c.read(ctx, wire.ManagerPath, method, nil, &objects); err != nil {
		return nil, err
	}
	var all []Properties
	for _, interfaces := range objects {
		values, ok := interfaces[wire.ContainerInterface]
		if !ok {
			continue
		}
		p, err := decodeProperties(values)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Properties) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}
