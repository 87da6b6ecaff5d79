package main

import (
	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/launch"
)

// launcher starts plans with package launch.
type launcher struct{}

// Start implements keeper.Launcher.
func (launcher) Start(memfd int, handles []int) (keeper.Started, error) {
	program, err := launch.Load(memfd)
	if err != nil {
		return keeper.Started{}, err
	}
	p, err := launch.Start(program, handles)
	if err != nil {
		return keeper.Started{}, err
	}
	return keeper.Started{PID: p.PID, PIDFD: p.PIDFD, Report: p.Report, Describe: program.Describe}, nil
}

func readEvent(report int) (keeper.Event, error) {
	e, err := launch.ReadEvent(report)
	if err != nil {
		return keeper.Event{}, err
	}
	kinds := map[launch.EventKind]keeper.EventKind{
		launch.Reached: keeper.Reached, launch.Failed: keeper.Failed, launch.Executed: keeper.Executed,
	}
	return keeper.Event{Kind: kinds[e.Kind], Point: e.Point, Op: e.Op, Errno: e.Errno}, nil
}
