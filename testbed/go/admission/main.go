// Command admission is what the API server does with policies in CEL, and nothing else of it: Kubernetes' own two plugins for them,
// with a store that holds what it is given.
//
// Its standard input is a JSON object: `store`, a list of policies, their bindings and namespaces, and `requests` to make objects.
// Its output is a JSON list with an answer to each request: the object `before` any policy, with Kubernetes' own defaults,
// and `after` them, the `warnings`, and the `refusal`, empty where there is none. A new pod is validated in between, as it is there.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/discovery"
	dynamic "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/openapi"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/capabilities"

	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/resource/install"
)

type input struct {
	Store    []json.RawMessage `json:"store"`
	Requests []request         `json:"requests"`
}

type request struct {
	Namespace string           `json:"namespace"`
	Resource  string           `json:"resource"`
	User      user.DefaultInfo `json:"user"`
	Object    json.RawMessage  `json:"object"`
}

type answer struct {
	Before   json.RawMessage `json:"before"`
	After    json.RawMessage `json:"after"`
	Warnings warnings        `json:"warnings"`
	Refusal  string          `json:"refusal"`
}

// A store is a client of one that answers from memory.
type store struct{ *fake.Clientset }

func (s store) Discovery() discovery.DiscoveryInterface { return published{s.Clientset.Discovery()} }

// Of what is published only the schemas of core/v1 are asked for, and a patch as JSON needs nothing of them.
type published struct{ discovery.DiscoveryInterface }

func (published) OpenAPIV3() openapi.Client { return schemas{} }

type schemas struct{}

func (schemas) Paths() (map[string]openapi.GroupVersion, error) {
	return map[string]openapi.GroupVersion{"api/v1": schemas{}}, nil
}

func (schemas) Schema(string) ([]byte, error) { return []byte(`{"components": {"schemas": {}}}`), nil }

func (schemas) ServerRelativeURL() string { return "" }

type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(from io.Reader, to io.Writer) error {
	var in input
	if err := json.NewDecoder(from).Decode(&in); err != nil {
		return err
	}
	chain, err := start(in.Store)
	if err != nil {
		return err
	}
	answers := make([]answer, len(in.Requests))
	for index, each := range in.Requests {
		if answers[index], err = admit(chain, &each); err != nil {
			return fmt.Errorf("request %d: %w", index, err)
		}
	}
	return json.NewEncoder(to).Encode(answers)
}

func start(contents []json.RawMessage) (admission.Interface, error) {
	objects := make([]runtime.Object, len(contents))
	for index, each := range contents {
		object, err := runtime.Decode(scheme.Codecs.UniversalDeserializer(), each)
		if err != nil {
			return nil, fmt.Errorf("store %d: %w", index, err)
		}
		objects[index] = object
	}
	client := store{fake.NewClientset(objects...)}
	factory := informers.NewSharedInformerFactory(client, 0)
	capabilities.Initialize(capabilities.Capabilities{AllowPrivileged: true})
	plugins := admission.NewPlugins()
	mutating.Register(plugins)
	validating.Register(plugins)
	never := make(chan struct{})
	chain, err := plugins.NewFromPlugins(
		plugins.Registered(),
		none{},
		initializer.New(
			client,
			dynamic.NewSimpleDynamicClient(scheme.Scheme),
			factory,
			authorizerfactory.NewAlwaysAllowAuthorizer(),
			feature.DefaultFeatureGate,
			compatibility.DefaultBuildEffectiveVersion(),
			never,
			meta.NewDefaultRESTMapper(nil),
		),
		admission.Decorators{},
	)
	if err != nil {
		return nil, err
	}
	factory.Start(never)
	factory.WaitForCacheSync(never)
	return chain, nil
}

// A none is no configuration for any plugin.
type none struct{}

func (none) ConfigFor(string) (io.Reader, error) { return nil, nil }

func admit(chain admission.Interface, what *request) (answer, error) {
	object, kind, err := decode(what.Object)
	if err != nil {
		return answer{}, err
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return answer{}, err
	}
	accessor.SetNamespace(what.Namespace)
	resource := kind.GroupVersion().WithResource(what.Resource)
	attributes := admission.NewAttributesRecord(
		object, nil, kind, what.Namespace, accessor.GetName(), resource, "", admission.Create,
		&metav1.CreateOptions{}, false, &what.User,
	)
	out := answer{Warnings: warnings{}}
	codec := legacyscheme.Codecs.LegacyCodec(kind.GroupVersion())
	if out.Before, err = runtime.Encode(codec, object); err != nil {
		return out, err
	}
	ctx := warning.WithWarningRecorder(context.Background(), &out.Warnings)
	if refusal := decide(ctx, chain, attributes); refusal != nil {
		out.Refusal = refusal.Error()
	}
	out.After, err = runtime.Encode(codec, attributes.GetObject())
	return out, err
}

// The schemas that are published come a moment after the start.
func decide(ctx context.Context, chain admission.Interface, attributes admission.Attributes) error {
	about := admission.NewObjectInterfacesFromScheme(legacyscheme.Scheme)
	err := chain.(admission.MutationInterface).Admit(ctx, attributes, about)
	for ; errors.IsServiceUnavailable(err); err = chain.(admission.MutationInterface).Admit(ctx, attributes, about) {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		return err
	}
	if pod, is := attributes.GetObject().(*core.Pod); is {
		options := podutil.GetValidationOptionsFromPodSpecAndMeta(&pod.Spec, nil, &pod.ObjectMeta, nil)
		options.ResourceIsPod = true
		if faults := validation.ValidatePodCreate(pod, options); len(faults) > 0 {
			return errors.NewInvalid(attributes.GetKind().GroupKind(), pod.Name, faults)
		}
	}
	return chain.(admission.ValidationInterface).Validate(ctx, attributes, about)
}

// As the API server reads what it is sent: with defaults, in its internal version.
func decode(text json.RawMessage) (runtime.Object, schema.GroupVersionKind, error) {
	object, kind, err := legacyscheme.Codecs.UniversalDecoder().Decode(text, nil, nil)
	if err != nil {
		return nil, schema.GroupVersionKind{}, err
	}
	return object, *kind, nil
}
