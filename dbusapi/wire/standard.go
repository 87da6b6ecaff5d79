package wire

// Properties returns org.freedesktop.DBus.Properties.
func Properties() Interface {
	iface, property := Arg{"interface_name", "s"}, Arg{"property_name", "s"}
	return Interface{
		Name: PropertiesInterface,
		Methods: []Method{
			{"Get", []Arg{iface, property}, []Arg{{"value", "v"}}, ""},
			{"GetAll", []Arg{iface}, []Arg{{"props", "a{sv}"}}, ""},
			{"Set", []Arg{iface, property, {"value", "v"}}, nil, ""},
		},
		Signals: []Signal{
			{"PropertiesChanged", []Arg{iface, {"changed_properties", "a{sv}"}, {"invalidated_properties", "as"}}},
		},
	}
}

// Introspectable returns org.freedesktop.DBus.Introspectable.
func Introspectable() Interface {
	return Interface{
		Name:    IntrospectableInterface,
		Methods: []Method{{"Introspect", nil, []Arg{{"xml_data", "s"}}, ""}},
	}
}

// Peer returns org.freedesktop.DBus.Peer.
func Peer() Interface {
	return Interface{
		Name:    PeerInterface,
		Methods: []Method{{"GetMachineId", nil, []Arg{{"machine_uuid", "s"}}, ""}, {"Ping", nil, nil, ""}},
	}
}

// ObjectManager returns org.freedesktop.DBus.ObjectManager.
func ObjectManager() Interface {
	object := Arg{"object_path", "o"}
	return Interface{
		Name: ObjectManagerInterface,
		Methods: []Method{
			{"GetManagedObjects", nil, []Arg{{"objects", "a{oa{sa{sv}}}"}}, ""},
		},
		Signals: []Signal{
			{"InterfacesAdded", []Arg{object, {"interfaces", "a{sa{sv}}"}}},
			{"InterfacesRemoved", []Arg{object, {"interfaces", "as"}}},
		},
	}
}
