package serve

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/webmsrp/webmsrp/msrp/relay"
)

// metrics shows the relay's counters to Prometheus.
type metrics struct{ relay *relay.Relay }

type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(relay.Stats) float64
}

func describe(name, help string, kind prometheus.ValueType, value func(relay.Stats) float64) metric {
	return metric{prometheus.NewDesc("webmsrp_"+name, help, nil, nil), kind, value}
}

var all = []metric{
	describe("connections", "Connections of clients and peers.", prometheus.GaugeValue, func(s relay.Stats) float64 { return float64(s.Links) }),
	describe("tokens", "Sessions of clients, each with a token.", prometheus.GaugeValue, func(s relay.Stats) float64 { return float64(s.Tokens) }),
	describe("requests_total", "Requests other than AUTH that arrived.", prometheus.CounterValue, func(s relay.Stats) float64 { return float64(s.Requests) }),
	describe("requests_rejected_total", "Requests that were not forwarded.", prometheus.CounterValue, func(s relay.Stats) float64 { return float64(s.Rejected) }),
	describe("forwarded_octets_total", "Octets of SEND requests that were forwarded.", prometheus.CounterValue, func(s relay.Stats) float64 { return float64(s.ForwardedOctets) }),
	describe("failure_reports_total", "Failure reports made for requests that a next hop did not take.", prometheus.CounterValue, func(s relay.Stats) float64 { return float64(s.FailureReports) }),
	describe("auth_total", "AUTH requests that were granted.", prometheus.CounterValue, func(s relay.Stats) float64 { return float64(s.Auths) }),
	describe("auth_failed_total", "AUTH requests with wrong credentials.", prometheus.CounterValue, func(s relay.Stats) float64 { return float64(s.AuthsFailed) }),
	describe("dials_total", "Connections to next hops that were begun.", prometheus.CounterValue, func(s relay.Stats) float64 { return float64(s.Dials) }),
	describe("dials_failed_total", "Connections to next hops that failed or were not allowed.", prometheus.CounterValue, func(s relay.Stats) float64 { return float64(s.DialsFailed) }),
}

// Describe implements prometheus.Collector.
func (m metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, one := range all {
		ch <- one.desc
	}
}

// Collect implements prometheus.Collector.
func (m metrics) Collect(ch chan<- prometheus.Metric) {
	stats := m.relay.Stats()
	for _, one := range all {
		ch <- prometheus.MustNewConstMetric(one.desc, one.kind, one.value(stats))
	}
}
