package unit

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (c *compiler) blockIO(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	if b.Weight != nil && *b.Weight != 0 {
		if w, ok := c.ioWeight("blockIO.weight", *b.Weight); ok {
			c.add(IOWeight(w))
		}
	}
	if b.LeafWeight != nil && *b.LeafWeight != 0 {
		c.fail("blockIO.leafWeight", *b.LeafWeight, "cgroup v2 has nothing like it")
	}
	c.ioDeviceWeights(b.WeightDevice)
	c.throttle("blockIO.throttleReadBpsDevice", b.ThrottleReadBpsDevice, IOReadBandwidthMax)
	c.throttle("blockIO.throttleWriteBpsDevice", b.ThrottleWriteBpsDevice, IOWriteBandwidthMax)
	c.throttle("blockIO.throttleReadIOPSDevice", b.ThrottleReadIOPSDevice, IOReadIOPSMax)
	c.throttle("blockIO.throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice, IOWriteIOPSMax)
}

// ioWeight stretches 10..1000 of cgroup v1 to 1..10000, linearly, as runc and crun do.
func (c *compiler) ioWeight(path string, w uint16) (uint64, bool) {
	if w < 10 || w > 1000 {
		c.fail(path, w, "must be 10 to 1000")
		return 0, false
	}
	return 1 + (uint64(w)-10)*9999/990, true
}

func (c *compiler) ioDeviceWeights(devices []specs.LinuxWeightDevice) {
	var list []DeviceValue
	for i, d := range devices {
		path := fmt.Sprintf("blockIO.weightDevice[%d]", i)
		if d.LeafWeight != nil && *d.LeafWeight != 0 {
			c.fail(path+".leafWeight", *d.LeafWeight, "cgroup v2 has nothing like it")
		}
		if d.Weight == nil || *d.Weight == 0 {
			continue
		}
		if w, ok := c.ioWeight(path+".weight", *d.Weight); ok {
			list = c.blockDevice(list, path, d.Major, d.Minor, w)
		}
	}
	if len(list) > 0 {
		c.add(IODeviceWeight(list...))
	}
}

func (c *compiler) throttle(path string, devices []specs.LinuxThrottleDevice, prop func(...DeviceValue) Property) {
	var list []DeviceValue
	for i, d := range devices {
		p := fmt.Sprintf("%s[%d]", path, i)
		if d.Rate == 0 {
			c.fail(p+".rate", d.Rate, "must be at least 1")
			continue
		}
		list = c.blockDevice(list, p, d.Major, d.Minor, d.Rate)
	}
	if len(list) > 0 {
		c.add(prop(list...))
	}
}

func (c *compiler) blockDevice(list []DeviceValue, path string, major, minor int64, v uint64) []DeviceValue {
	if major < 0 || major > majorMax || minor < 0 || minor > minorMax {
		c.fail(path, fmt.Sprintf("%d:%d", major, minor), "is not a device number")
		return list
	}
	return append(list, DeviceValue{fmt.Sprintf("/dev/block/%d:%d", major, minor), v})
}
