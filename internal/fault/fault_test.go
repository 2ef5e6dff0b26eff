package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"kiosk/internal/fault"
)

func TestText_UnknownErrorIsHidden(t *testing.T) {
	t.Parallel()
	err := errors.New("dial tcp 10.0.0.1: password=hunter2")
	if got := fault.Text(err); strings.Contains(got, "hunter2") {
		t.Fatalf("text leaks the cause: %q", got)
	}
	if fault.KindOf(err) != fault.Internal {
		t.Fatalf("kind = %v, want internal", fault.KindOf(err))
	}
}

func TestWrap_KeepsKindTextAndCauseThroughWrapping(t *testing.T) {
	t.Parallel()
	cause := errors.New("row is gone")
	err := fmt.Errorf("load model: %w", fault.Wrap(cause, fault.NotFound, "No such model.").After(3*time.Second))
	if fault.KindOf(err) != fault.NotFound || fault.Text(err) != "No such model." {
		t.Fatalf("kind %v, text %q", fault.KindOf(err), fault.Text(err))
	}
	if !errors.Is(err, cause) {
		t.Fatal("the cause is lost")
	}
	if d, ok := fault.RetryAfter(err); !ok || d != 3*time.Second {
		t.Fatalf("retry = %v %v, want 3s", d, ok)
	}
}

func TestKind_NamesAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for k := fault.Internal; k <= fault.Unavailable; k++ {
		if seen[k.String()] {
			t.Fatalf("kind %d repeats the name %q", k, k)
		}
		seen[k.String()] = true
	}
}
