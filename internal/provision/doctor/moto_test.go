package doctor_test

import (
	"testing"

	"github.com/stagelog/stagelog/internal/provision/moto"
)

func TestMain(m *testing.M) { moto.Main(m) }
