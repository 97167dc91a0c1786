package api

import (
	"fmt"
	"net/http"
	"strings"

	"syncline/node"
	"syncline/node/api/wire"
)

// listDevices lists the members of a space, this device first.
func (s *Server) listDevices(w http.ResponseWriter, r *http.Request) error {
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	ds, err := sp.Devices(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, wire.Devices{Schema: wire.SchemaDevices, Devices: wire.DeviceStatusesOf(ds)})
}

// getDevice answers with one member.
func (s *Server) getDevice(w http.ResponseWriter, r *http.Request) error {
	d, err := s.device(r)
	if err != nil {
		return err
	}
	doc := wire.DeviceStatusOf(d)
	doc.Schema = wire.SchemaDevice
	return answer(w, http.StatusOK, doc)
}

// addAddress adds an address of a member by hand.
func (s *Server) addAddress(w http.ResponseWriter, r *http.Request) error {
	var ask wire.Address
	if err := question(r, &ask); err != nil {
		return err
	}
	if ask.Address == "" {
		return node.ErrBadRequest.With("address is missing.").Next("Give a multiaddr, as /ip4/192.168.1.20/tcp/4001")
	}
	d, err := s.device(r)
	if err != nil {
		return err
	}
	if err := s.node.AddAddress(r.Context(), d.ID.String(), ask.Address); err != nil {
		return err
	}
	return answer(w, http.StatusCreated, wire.Address{Schema: wire.SchemaAddress, Device: d.ID.String(), Address: ask.Address})
}

// ping asks a connected member for an answer and says how long it took.
func (s *Server) ping(w http.ResponseWriter, r *http.Request) error {
	if err := question(r, &struct{}{}); err != nil {
		return err
	}
	d, err := s.device(r)
	if err != nil {
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	took, err := sp.Ping(d.ID.String())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, wire.Ping{Schema: wire.SchemaPing, Device: wire.DeviceOf(d.DeviceRef), Path: d.Path, Millis: float64(took.Microseconds()) / 1000})
}

// device finds the member that a request names, by its id, its short id or its name.
func (s *Server) device(r *http.Request) (node.DeviceStatus, error) {
	sp, err := s.space(r)
	if err != nil {
		return node.DeviceStatus{}, err
	}
	ds, err := sp.Devices(r.Context())
	if err != nil {
		return node.DeviceStatus{}, err
	}
	return findDevice(ds, r.PathValue("id"))
}

func findDevice(ds []node.DeviceStatus, key string) (node.DeviceStatus, error) {
	var named []node.DeviceStatus
	for _, d := range ds {
		if d.ID.String() == key || d.ID.Short() == key {
			return d, nil
		}
		if strings.EqualFold(d.Name, key) {
			named = append(named, d)
		}
	}
	switch len(named) {
	case 1:
		return named[0], nil
	case 0:
		return node.DeviceStatus{}, node.ErrNoDevice.With("No device here has the name or id “%s”.", key)
	}
	var which []string
	for _, d := range named {
		which = append(which, fmt.Sprintf("%s (%s)", d.Name, d.ID.Short()))
	}
	return node.DeviceStatus{}, node.ErrNoDevice.With("%d devices are called “%s”: %s.", len(named), key, strings.Join(which, ", ")).
		Next("Name one by its short id, as " + named[0].ID.Short())
}
