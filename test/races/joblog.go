package races

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/queuescaler/queuescaler/test/stack"
)

// jobLog is a lane's job log, read as it grows.
type jobLog struct {
	file   string
	events []stack.JobEvent
	offset int64 // of the first line that is not read
}

// await waits until a job has ended.
func (j *jobLog) await(ctx context.Context, job string) error {
	seen := len(j.events)
	return wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		if err := j.read(); err != nil {
			return false, err
		}
		for ; seen < len(j.events); seen++ {
			if event := j.events[seen]; event.Job == job && event.Event == "end" {
				return true, nil
			}
		}
		return false, nil
	})
}

// read takes in the lines that are new and whole.
func (j *jobLog) read() error {
	file, err := os.Open(j.file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.NewSectionReader(file, j.offset, 1<<30))
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var event stack.JobEvent
		if err := json.Unmarshal(line, &event); err != nil {
			return fmt.Errorf("the job log: %w", err)
		}
		j.events, j.offset = append(j.events, event), j.offset+int64(len(line))
	}
	return nil
}
