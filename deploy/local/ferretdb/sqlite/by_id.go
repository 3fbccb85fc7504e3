package sqlite

import (
	"fmt"
	"strings"

	"github.com/FerretDB/FerretDB/internal/backends/sqlite/metadata"
	"github.com/FerretDB/FerretDB/internal/handler/sjson"
	"github.com/FerretDB/FerretDB/internal/types"
	"github.com/FerretDB/FerretDB/internal/util/must"
)

// indexed is what the index of `_id` is on; `metadata.IDColumn` means the same in words that SQLite
// does not know it by.
const indexed = metadata.DefaultColumn + `->"_id"`

// byID returns the condition, with its arguments, that goes by the index of `_id`; none for a filter
// that does not name one `_id`, or several by `$in`. What else the filter asks is compared afterwards.
//
// FerretDB itself uses that index only for a filter of nothing but one `_id`, and reads the whole
// collection for each write that asks for a revision too. MongoDB never does.
func byID(filter *types.Document) (string, []any) {
	asked, _ := filter.Get("_id")
	ids := []any{asked}

	if operators, ok := asked.(*types.Document); ok {
		in, _ := operators.Get("$in")
		several, _ := in.(*types.Array)
		ids = nil
		for i := range several.Len() {
			ids = append(ids, must.NotFail(several.Get(i)))
		}
	}

	var args []any
	for _, id := range ids {
		switch id.(type) {
		case string, types.ObjectID:
			args = append(args, string(must.NotFail(sjson.MarshalSingleValue(id))))
		default:
			return "", nil
		}
	}

	if len(args) == 0 {
		return "", nil
	}

	places := strings.Repeat(", ?", len(args))[2:]
	return fmt.Sprintf(` WHERE %s IN (%s)`, indexed, places), args
}
