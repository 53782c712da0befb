// Command manifests reads Kubernetes manifests from standard input (kustomize's output) and fails if one is of a kind
// it does not know or has a field that this kind does not have, and if they lack what a drain without loss needs.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// kinds makes an empty object of each kind that may occur.
var kinds = map[string]func() any{
	"apps/v1 Deployment":                  func() any { return &appsv1.Deployment{} },
	"apps/v1 StatefulSet":                 func() any { return &appsv1.StatefulSet{} },
	"v1 Service":                          func() any { return &corev1.Service{} },
	"v1 ServiceAccount":                   func() any { return &corev1.ServiceAccount{} },
	"v1 ConfigMap":                        func() any { return &corev1.ConfigMap{} },
	"v1 Secret":                           func() any { return &corev1.Secret{} },
	"v1 Namespace":                        func() any { return &corev1.Namespace{} },
	"v1 PersistentVolumeClaim":            func() any { return &corev1.PersistentVolumeClaim{} },
	"policy/v1 PodDisruptionBudget":       func() any { return &policyv1.PodDisruptionBudget{} },
	"networking.k8s.io/v1 NetworkPolicy":  func() any { return &networkingv1.NetworkPolicy{} },
	"networking.k8s.io/v1 Ingress":        func() any { return &networkingv1.Ingress{} },
	"monitoring.coreos.com/v1 PodMonitor": func() any { return &podMonitor{} },
}

func main() {
	n, err := check(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
	fmt.Printf("manifests: %d objects are sound\n", n)
}

func check(r io.Reader) (n int, err error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(r))
	pods, budgets := 0, 0
	var selectors []selector
	var template corev1.PodTemplateSpec
	var monitor *podMonitor
	var policy *networkingv1.NetworkPolicy
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n, err
		}
		object, err := decode(document)
		if err != nil {
			return n, err
		}
		n++
		switch o := object.(type) {
		case *appsv1.Deployment:
			pods, template = pods+1, o.Spec.Template
			selectors = append(selectors, selectorOf("Deployment", o.Spec.Selector))
			err = soundPod(o.Name, o.Spec.Template.Spec)
		case *appsv1.StatefulSet:
			pods, template = pods+1, o.Spec.Template
			selectors = append(selectors, selectorOf("StatefulSet", o.Spec.Selector))
			err = soundPod(o.Name, o.Spec.Template.Spec)
		case *policyv1.PodDisruptionBudget:
			budgets++
			selectors = append(selectors, selectorOf("PodDisruptionBudget", o.Spec.Selector))
		case *corev1.Service:
			selectors = append(selectors, selector{"Service " + o.Name, o.Spec.Selector})
		case *networkingv1.NetworkPolicy:
			policy = o
			selectors = append(selectors, selectorOf("NetworkPolicy", &o.Spec.PodSelector))
		case *podMonitor:
			monitor = o
			selectors = append(selectors, selectorOf("PodMonitor", &o.Spec.Selector))
		}
		if err != nil {
			return n, err
		}
	}
	if pods == 0 || budgets == 0 {
		return n, fmt.Errorf("%d workloads, %d disruption budgets: at least one each is needed", pods, budgets)
	}
	for _, s := range selectors {
		if !s.selects(template.Labels) {
			return n, fmt.Errorf("%s selects %v, which is not these pods: %v", s.of, s.labels, template.Labels)
		}
	}
	if err := scraped(template, monitor); err != nil {
		return n, err
	}
	return n, guarded(template, policy)
}

// selector is what an object picks pods by.
type selector struct {
	of     string
	labels map[string]string
}

func selectorOf(of string, s *metav1.LabelSelector) selector {
	if s == nil {
		return selector{of: of}
	}
	return selector{of, s.MatchLabels}
}

func (s selector) selects(labels map[string]string) bool {
	for key, value := range s.labels {
		if labels[key] != value {
			return false
		}
	}
	return len(s.labels) > 0
}

func decode(document []byte) (any, error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return nil, err
	}
	name := kind.APIVersion + " " + kind.Kind
	empty, known := kinds[name]
	if !known {
		return nil, fmt.Errorf("kind %q is not known here", name)
	}
	object := empty()
	if err := yaml.UnmarshalStrict(document, object); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return object, nil
}

// soundPod is what losing nothing and exposing nothing needs of a pod.
func soundPod(name string, pod corev1.PodSpec) error {
	grace := int64(30)
	if pod.TerminationGracePeriodSeconds != nil {
		grace = *pod.TerminationGracePeriodSeconds
	}
	for _, c := range pod.Containers {
		switch s := c.SecurityContext; {
		case c.ReadinessProbe == nil || c.LivenessProbe == nil || c.StartupProbe == nil:
			return fmt.Errorf("%s/%s: startup, readiness and liveness probes are needed", name, c.Name)
		case c.Lifecycle == nil || c.Lifecycle.PreStop == nil:
			return fmt.Errorf("%s/%s: without a preStop hook, calls still come while it drains", name, c.Name)
		case grace < 40:
			return fmt.Errorf("%s: terminationGracePeriodSeconds %d is shorter than the hook and shutdown_grace together", name, grace)
		case s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
			s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation:
			return fmt.Errorf("%s/%s: a read-only root and no privilege escalation are needed", name, c.Name)
		case c.Resources.Requests == nil || c.Resources.Limits.Memory().IsZero():
			return fmt.Errorf("%s/%s: resource requests and a memory limit are needed", name, c.Name)
		}
	}
	if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot {
		return fmt.Errorf("%s: runAsNonRoot is needed", name)
	}
	return nil
}
