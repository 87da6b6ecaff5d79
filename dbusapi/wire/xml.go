package wire

import (
	"fmt"
	"strings"
)

const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`

// XML is the introspection data of an object with these interfaces and these child nodes. Every name in the
// tables and every escaped object path element is free of characters XML would need escaped.
func XML(interfaces []Interface, children []string) string {
	var b strings.Builder
	b.WriteString(doctype + "<node>\n")
	for n := range interfaces {
		interfaces[n].xml(&b)
	}
	for _, name := range children {
		fmt.Fprintf(&b, " <node name=%q/>\n", name)
	}
	b.WriteString("</node>\n")
	return b.String()
}

func (i *Interface) xml(b *strings.Builder) {
	fmt.Fprintf(b, " <interface name=%q>\n", i.Name)
	for _, m := range i.Methods {
		fmt.Fprintf(b, "  <method name=%q>\n", m.Name)
		xmlArgs(b, m.In, ` direction="in"`)
		xmlArgs(b, m.Out, ` direction="out"`)
		b.WriteString("  </method>\n")
	}
	for _, s := range i.Signals {
		fmt.Fprintf(b, "  <signal name=%q>\n", s.Name)
		xmlArgs(b, s.Args, "")
		b.WriteString("  </signal>\n")
	}
	for _, p := range i.Properties {
		fmt.Fprintf(b, "  <property name=%q type=%q access=\"read\">\n", p.Name, p.Type)
		fmt.Fprintf(b, "   <annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" value=%q/>\n", string(p.Emits))
		b.WriteString("  </property>\n")
	}
	b.WriteString(" </interface>\n")
}

func xmlArgs(b *strings.Builder, args []Arg, direction string) {
	for _, a := range args {
		fmt.Fprintf(b, "   <arg name=%q type=%q%s/>\n", a.Name, a.Type, direction)
	}
}
