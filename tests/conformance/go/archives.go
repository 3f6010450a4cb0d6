// Reads archives by Go's archive/tar, by which container runtimes unpack layers, and prints what it sees of each in one line.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

func main() {
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		var length uint32
		if binary.Read(in, binary.LittleEndian, &length) != nil {
			return
		}
		archive := make([]byte, length)
		if _, err := io.ReadFull(in, archive); err != nil {
			return
		}
		fmt.Fprintln(out, read(archive))
		out.Flush()
	}
}

// read gives kind, path, target and content of each entry, and at last whether the archive ended well.
func read(archive []byte) string {
	reader, line := tar.NewReader(bytes.NewReader(archive)), ""
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return line + "end"
		}
		if err != nil {
			return line + "error"
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return line + "error"
		}
		if header.Typeflag != tar.TypeXGlobalHeader {
			line += fmt.Sprintf("%02x,%x,%x,%x;", header.Typeflag, header.Name, header.Linkname, content)
		}
	}
}
