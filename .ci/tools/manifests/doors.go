package main

import (
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podMonitor is as much of prometheus-operator's kind of this name as is used here; a field that is not is a mistake.
type podMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector            metav1.LabelSelector `json:"selector"`
		JobLabel            string               `json:"jobLabel"`
		PodMetricsEndpoints []struct {
			Port          string `json:"port"`
			Path          string `json:"path"`
			Interval      string `json:"interval"`
			ScrapeTimeout string `json:"scrapeTimeout"`
		} `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

// job is the name by which the alerts know the gateway.
const job = "klarna-gateway"

// scraped tells whether Prometheus finds the metrics: by the pods' annotations and, where there is one, by a PodMonitor.
func scraped(pod corev1.PodTemplateSpec, monitor *podMonitor) error {
	port, is := portOf(pod, "admin")
	if noted := pod.Annotations; !is || noted["prometheus.io/scrape"] != "true" || noted["prometheus.io/port"] != strconv.Itoa(int(port)) || noted["prometheus.io/path"] != "/metrics" {
		return fmt.Errorf("the annotations %v do not lead to /metrics of port admin, %d", noted, port)
	}
	if monitor == nil {
		return nil
	}
	if pod.Labels[monitor.Spec.JobLabel] != job {
		return fmt.Errorf("PodMonitor: jobLabel %q is %q, and the alerts are about %s", monitor.Spec.JobLabel, pod.Labels[monitor.Spec.JobLabel], job)
	}
	for _, e := range monitor.Spec.PodMetricsEndpoints {
		if e.Port == "admin" && e.Path == "/metrics" {
			return nil
		}
	}
	return errors.New("PodMonitor: no endpoint is /metrics of port admin")
}

// guarded tells whether each door is open to those whom it is for, and to nobody else: only what is from somewhere is let in,
// monitoring at the admin door alone, the ingress at the webhooks' alone, and callers at neither.
func guarded(pod corev1.PodTemplateSpec, policy *networkingv1.NetworkPolicy) error {
	if policy == nil {
		return errors.New("there is no NetworkPolicy: whoever is in the cluster reaches the admin door")
	}
	open := map[string]int{}
	for _, rule := range policy.Spec.Ingress {
		if len(rule.From) == 0 || len(rule.Ports) == 0 {
			return errors.New("NetworkPolicy: a rule lets in everybody, or to every port")
		}
		for _, p := range rule.Ports {
			if _, is := portOf(pod, p.Port.String()); !is {
				return fmt.Errorf("NetworkPolicy: the pods have no port %s", p.Port)
			}
			if name := p.Port.String(); (name == "admin" || name == "webhooks") && len(rule.Ports) > 1 {
				return fmt.Errorf("NetworkPolicy: who is let in at %s is let in elsewhere, too", name)
			}
			open[p.Port.String()]++
		}
	}
	for _, name := range []string{"grpc", "rest", "webhooks", "admin"} {
		if open[name] == 0 {
			return fmt.Errorf("NetworkPolicy: nobody is let in at %s", name)
		}
	}
	return nil
}

func portOf(pod corev1.PodTemplateSpec, name string) (int32, bool) {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == name {
				return p.ContainerPort, true
			}
		}
	}
	return 0, false
}
