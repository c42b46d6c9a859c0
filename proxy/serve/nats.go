package serve

import (
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/webmsrp/webmsrp/proxy/rendezvous"
)

// connectNATS puts a bus that other instances share in the place of the own.
func (s *Server) connectNATS() error {
	c := s.config
	config := rendezvous.NATSConfig{Servers: c.natsServers, Credentials: c.NATSCredentials, Name: "webmsrp " + c.PublicHost, Log: s.log}
	var err error
	if c.NATSCA != "" {
		if config.Roots, err = readRoots("nats-ca", c.NATSCA); err != nil {
			return err
		}
	}
	if c.NATSCredentials != "" {
		if _, err := os.ReadFile(c.NATSCredentials); err != nil {
			return fmt.Errorf("--nats-credentials: %w", err)
		}
	}
	bus, err := rendezvous.ConnectNATS(config)
	if err != nil {
		return fmt.Errorf("--nats-url: %s: %w", strings.Join(c.natsHosts, ", "), err)
	}
	s.bus = bus
	return nil
}

// natsMetrics shows the counters of the shared rendezvous to Prometheus.
type natsMetrics struct{ bus *rendezvous.NATS }

var natsAll = []struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(rendezvous.NATSStats) float64
}{
	{prometheus.NewDesc("webmsrp_nats_connected", "1 while this instance is connected to NATS.", nil, nil), prometheus.GaugeValue, func(s rendezvous.NATSStats) float64 {
		if s.Connected {
			return 1
		}
		return 0
	}},
	{prometheus.NewDesc("webmsrp_nats_reconnects_total", "Times that a lost connection to NATS was made again.", nil, nil), prometheus.CounterValue, func(s rendezvous.NATSStats) float64 { return float64(s.Reconnects) }},
	{prometheus.NewDesc("webmsrp_rendezvous_lost_total", "Offers and answers to other instances that reached no one.", nil, nil), prometheus.CounterValue, func(s rendezvous.NATSStats) float64 { return float64(s.Lost) }},
}

// Describe implements prometheus.Collector.
func (m natsMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, one := range natsAll {
		ch <- one.desc
	}
}

// Collect implements prometheus.Collector.
func (m natsMetrics) Collect(ch chan<- prometheus.Metric) {
	stats := m.bus.Stats()
	for _, one := range natsAll {
		ch <- prometheus.MustNewConstMetric(one.desc, one.kind, one.value(stats))
	}
}
