package recordtest_test

import (
	"testing"

	"github.com/stagelog/stagelog/internal/record/recordtest"
)

func TestStoreContract(t *testing.T) {
	recordtest.TestStore(t, &recordtest.Store{})
	recordtest.TestSharedStore(t, &recordtest.Store{})
}
