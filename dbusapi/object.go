package dbusapi

import (
	"strings"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/unit"
	"github.com/godbus/dbus/v5"
)

// kind is what an object path names.
type kind uint8

const (
	kindNothing   kind = iota // nothing of ours
	kindNode                  // a node on the way to an object
	kindManager               // ManagerPath
	kindContainer             // a container, whether it exists or not
)

// object is what a call is addressed to.
type object struct {
	kind kind
	path string
	id   string // of a container
}

// objects is which interfaces each kind of object has. The Peer interface answers on every path, as the
// specification wants.
func objects() map[kind][]wire.Interface {
	peer, introspectable, properties := wire.Peer(), wire.Introspectable(), wire.Properties()
	return map[kind][]wire.Interface{
		kindNothing:   {peer},
		kindNode:      {introspectable, peer},
		kindManager:   {wire.Manager(), introspectable, wire.ObjectManager(), peer, properties},
		kindContainer: {wire.Container(), introspectable, peer, properties},
	}
}

func parsePath(path string) object {
	o := object{path: path}
	switch path {
	case "/", "/org", wire.ContainersPath:
		o.kind = kindNode
	case wire.ManagerPath:
		o.kind = kindManager
	default:
		if label, ok := strings.CutPrefix(path, wire.ContainersPath+"/"); ok {
			if id, err := unit.BusPathUnescape(label); err == nil && !strings.Contains(label, "/") {
				o.kind, o.id = kindContainer, id
			}
		}
	}
	return o
}

// containerPath is the object path of a container.
func containerPath(id string) dbus.ObjectPath {
	return dbus.ObjectPath(wire.ContainersPath + "/" + unit.BusPathEscape(id))
}

// children are the names of the nodes below o.
func (s *Server) children(o object) []string {
	switch o.path {
	case "/":
		return []string{"org"}
	case "/org":
		return []string{"berth1"}
	case wire.ManagerPath:
		return []string{"container"}
	case wire.ContainersPath:
		var labels []string
		for _, info := range s.manager.List() {
			labels = append(labels, unit.BusPathEscape(info.ID))
		}
		return labels
	}
	return nil
}
