package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The configurations that the manifests come with can be started with: every key is known, callers have to prove who they
// are, and ports and paths are those that the manifests name.
func TestDeploy_ConfigurationsFitTheManifests(t *testing.T) {
	for _, name := range []string{"KLARNA_SHOP_PASSWORD", "KLARNA_SHOP_STATUS_KEY"} {
		t.Setenv(name, "of-the-test")
	}
	for _, flavour := range []string{"sqlite", "postgres"} {
		t.Run(flavour, func(t *testing.T) {
			dir := filepath.Join("../../deploy/kubernetes", flavour)
			env := map[string]string{}
			if flavour == "postgres" {
				env["KLARNA_GATEWAY_DATABASE"] = "postgres://gateway@db.example/gateway"
			}
			cfg, err := loadConfig(filepath.Join(dir, "gateway.yaml"), func(name string) string { return env[name] })
			if err != nil {
				t.Fatal(err)
			}
			workload := map[string]string{"sqlite": "stateful-set.yaml", "postgres": "deployment.yaml"}[flavour]
			var manifest struct {
				Spec struct{ Template struct{ Spec pod } }
			}
			if err := yaml.Unmarshal(must[[]byte](t)(os.ReadFile(filepath.Join(dir, workload))), &manifest); err != nil {
				t.Fatal(err)
			}
			spec := manifest.Spec.Template.Spec
			box := spec.Containers[0]
			for _, port := range box.Ports {
				address := map[string]string{"grpc": cfg.GRPCAddress, "rest": cfg.RESTAddress, "webhooks": cfg.WebhookAddress, "admin": cfg.AdminAddress}[port.Name]
				if !strings.HasSuffix(address, ":"+port.ContainerPort) {
					t.Errorf("port %s is %s, and the gateway listens at %s", port.Name, port.ContainerPort, address)
				}
			}
			holds := cfg.DataDir
			if cfg.replicas() {
				holds = filepath.Dir(cfg.keyPath())
			}
			mounted := false
			for _, m := range box.VolumeMounts {
				mounted = mounted || m.MountPath == holds
			}
			if !mounted {
				t.Errorf("%s is on no volume", holds)
			}
			if box.ReadinessProbe.HTTPGet != (probe{"/readyz", "admin"}) || box.LivenessProbe.HTTPGet != (probe{"/healthz", "admin"}) {
				t.Errorf("probes: %+v, %+v", box.ReadinessProbe, box.LivenessProbe)
			}
			// What Kubernetes allows is the wait before SIGTERM, the grace, and 10 s beyond it.
			if need := box.Lifecycle.PreStop.Sleep.Seconds + int(cfg.ShutdownGrace.Seconds()) + 10; spec.TerminationGracePeriodSeconds < need {
				t.Errorf("terminated after %d s, and %d s are needed", spec.TerminationGracePeriodSeconds, need)
			}
		})
	}
}

type probe struct{ Path, Port string }

// pod is what of a manifest is held to the configuration.
type pod struct {
	TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
	Containers                    []struct {
		Ports []struct {
			Name          string
			ContainerPort string `yaml:"containerPort"`
		}
		VolumeMounts []struct {
			MountPath string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
		ReadinessProbe struct {
			HTTPGet probe `yaml:"httpGet"`
		} `yaml:"readinessProbe"`
		LivenessProbe struct {
			HTTPGet probe `yaml:"httpGet"`
		} `yaml:"livenessProbe"`
		Lifecycle struct {
			PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
		}
	}
}
