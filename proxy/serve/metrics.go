package serve

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/relay"
)

// counts are the counters beside the relay's own. Their labels, like all here,
// have few values and name nobody.
type counts struct{ refused, dialsFailed *prometheus.CounterVec }

func newCounts() *counts {
	vector := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "webmsrp_" + name, Help: help}, []string{"reason"})
	}
	return &counts{
		refused:     vector("handshakes_refused_total", "Connections and WebSocket handshakes that were refused."),
		dialsFailed: vector("dials_failed_total", "Connections to next hops that failed or were not allowed."),
	}
}

// metrics shows the relay's counters to Prometheus.
type metrics struct{ relay *relay.Relay }

// A metric is one name with the label sets and values that it has now.
type metric struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	values func(s relay.Stats, set func(value float64, labels ...string))
}

func describe(name, help string, kind prometheus.ValueType, labels []string, values func(relay.Stats, func(float64, ...string))) metric {
	return metric{prometheus.NewDesc("webmsrp_"+name, help, labels, nil), kind, values}
}

// one is a metric without labels.
func one(name, help string, kind prometheus.ValueType, value func(relay.Stats) int64) metric {
	return describe(name, help, kind, nil, func(s relay.Stats, set func(float64, ...string)) { set(float64(value(s))) })
}

// byCode is a counter with a label for status codes. Peers choose some of them:
// those that no RFC knows are one.
func byCode(name, help string, counts func(relay.Stats) map[int]int64) metric {
	return describe(name, help, prometheus.CounterValue, []string{"code"}, func(s relay.Stats, set func(float64, ...string)) {
		labels := map[string]int64{}
		for code, n := range counts(s) {
			label := strconv.Itoa(code)
			if strings.HasPrefix(msrp.StatusText(code), "Status ") {
				label = "other"
			}
			labels[label] += n
		}
		for _, label := range slices.Sorted(maps.Keys(labels)) {
			set(float64(labels[label]), label)
		}
	})
}

// byDirection is a counter of traffic to clients of this relay and to others.
func byDirection(name, help string, count func(relay.Traffic) int64) metric {
	return describe(name, help, prometheus.CounterValue, []string{"direction"}, func(s relay.Stats, set func(float64, ...string)) {
		set(float64(count(s.ToClients)), "to_client")
		set(float64(count(s.ToPeers)), "to_peer")
	})
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

var all = []metric{
	describe("connections", "Connections of clients and peers.", gauge, []string{"kind", "opened_by"}, func(s relay.Stats, set func(float64, ...string)) {
		for _, kind := range []string{"ws", "tcp", "tls"} {
			set(float64(s.LinksByKind[relay.Kind{Transport: kind}]), kind, "them")
			if kind != "ws" {
				set(float64(s.LinksByKind[relay.Kind{Transport: kind, Dialled: true}]), kind, "us")
			}
		}
	}),
	one("connections_refused_total", "Connections that were refused because there are too many in all.", counter, func(s relay.Stats) int64 { return s.LinksRefused }),
	describe("tokens", "Sessions of clients, each with a token.", gauge, []string{"mode"}, func(s relay.Stats, set func(float64, ...string)) {
		set(float64(s.DirectTokens), "direct")
		set(float64(s.Tokens-s.DirectTokens), "relay")
	}),
	one("transactions", "Requests that wait for the response of their next hop.", gauge, func(s relay.Stats) int64 { return int64(s.Transactions) }),
	one("queued_octets", "Octets of SENDs that wait for their next hop.", gauge, func(s relay.Stats) int64 { return s.Queued }),
	one("requests_total", "Requests other than AUTH that arrived.", counter, func(s relay.Stats) int64 { return s.Requests }),
	byCode("requests_rejected_total", "Requests that were not forwarded, by the code of the answer.", func(s relay.Stats) map[int]int64 { return s.Rejected }),
	byDirection("sends_total", "SEND requests that were forwarded.", func(t relay.Traffic) int64 { return t.Sends }),
	byDirection("messages_total", "Messages of which the last chunk was forwarded.", func(t relay.Traffic) int64 { return t.Messages }),
	byDirection("octets_total", "Octets of SEND requests that were forwarded.", func(t relay.Traffic) int64 { return t.Octets }),
	byCode("send_outcomes_total", "What became of SENDs at their next hop: the code of its response, or why there was none.", func(s relay.Stats) map[int]int64 { return s.Outcomes }),
	one("failure_reports_total", "Failure reports made for SENDs that a next hop did not take.", counter, func(s relay.Stats) int64 { return s.FailureReports }),
	byCode("auth_total", "AUTH requests, by the code of the answer.", func(s relay.Stats) map[int]int64 { return s.AuthCodes }),
	one("auth_failed_total", "AUTH requests with wrong credentials.", counter, func(s relay.Stats) int64 { return s.AuthsFailed }),
	one("auth_locked_total", "AUTH requests of those who failed too often.", counter, func(s relay.Stats) int64 { return s.AuthsLocked }),
	one("dials_total", "Connections to next hops that were begun.", counter, func(s relay.Stats) int64 { return s.Dials }),
}

// Describe implements prometheus.Collector.
func (m metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, each := range all {
		ch <- each.desc
	}
}

// Collect implements prometheus.Collector.
func (m metrics) Collect(ch chan<- prometheus.Metric) {
	stats := m.relay.Stats()
	for _, each := range all {
		each.values(stats, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(each.desc, each.kind, value, labels...)
		})
	}
}
