package audit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// file is one file of a package.
type file struct {
	name string
	data []byte
	crc  uint32 // CRC-32 that the container states; nothing but damage is found with it
}

// The container is a zip file (PKWARE APPNOTE.TXT) of which exactly one form is
// accepted for the same files: stored, never compressed, no extra fields, no
// comments, no gaps, all dates the first that the format can say. So there is
// nothing in it that can hide, be swollen, or differ and mean the same.
const (
	localSignature     = 0x04034b50
	directorySignature = 0x02014b50
	endSignature       = 0x06054b50

	localSize     = 30
	directorySize = 46
	endSize       = 22

	zipVersion = 10     // 1.0: stored files and nothing else
	zipDate    = 0x0021 // 1980-01-01; the time of day is zero

	maxFiles   = math.MaxUint16 - 1
	maxZipSize = math.MaxUint32 - 1
	maxName    = 255
)

// directoryName stands for the zip directory where a check names a file.
const directoryName = "(zip directory)"

func checksum(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// appendContainer appends the one zip file that holds these files in this order.
func appendContainer(b []byte, files []file) ([]byte, error) {
	total := endSize
	for _, f := range files {
		total += localSize + directorySize + 2*len(f.name) + len(f.data)
	}
	if total > maxZipSize || len(files) > maxFiles {
		return nil, fmt.Errorf("package of %d bytes in %d files, expected at most %d and %d", total, len(files), maxZipSize, maxFiles)
	}
	b = append(make([]byte, 0, len(b)+total), b...)
	var directory []byte
	for _, f := range files {
		directory = appendDirectoryEntry(directory, f, len(b))
		b = appendLocalHeader(b, f)
		b = append(b, f.data...)
	}
	start := len(b)
	b = append(b, directory...)
	return appendEnd(b, len(files), start, len(directory)), nil
}

// appendCommon appends what a local header and a directory entry share.
func appendCommon(b []byte, f file) []byte {
	le := binary.LittleEndian
	b = le.AppendUint16(b, zipVersion)
	b = le.AppendUint16(b, 0) // flags
	b = le.AppendUint16(b, 0) // method: stored
	b = le.AppendUint16(b, 0) // time
	b = le.AppendUint16(b, zipDate)
	b = le.AppendUint32(b, f.crc)
	b = le.AppendUint32(b, uint32(len(f.data))) // compressed
	b = le.AppendUint32(b, uint32(len(f.data)))
	b = le.AppendUint16(b, uint16(len(f.name)))
	return le.AppendUint16(b, 0) // extra fields
}

func appendLocalHeader(b []byte, f file) []byte {
	b = binary.LittleEndian.AppendUint32(b, localSignature)
	return append(appendCommon(b, f), f.name...)
}

func appendDirectoryEntry(b []byte, f file, offset int) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, directorySignature)
	b = le.AppendUint16(b, zipVersion) // made by
	b = appendCommon(b, f)
	b = append(b, make([]byte, 10)...) // comment, disk, attributes
	b = le.AppendUint32(b, uint32(offset))
	return append(b, f.name...)
}

func appendEnd(b []byte, files, start, size int) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, endSignature)
	b = append(b, make([]byte, 4)...) // disks
	b = le.AppendUint16(b, uint16(files))
	b = le.AppendUint16(b, uint16(files))
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint32(b, uint32(start))
	return le.AppendUint16(b, 0) // comment
}

// readContainer reads what appendContainer writes and nothing else. The files
// are parts of b. The checksums are not compared with the data here. On failure
// it gives the files before the one that fails, and where it fails.
func readContainer(b []byte) ([]file, *failure) {
	var files []file
	var directory []byte
	at := 0
	for {
		name := fmt.Sprintf("(zip entry %d)", len(files)+1)
		if len(b)-at < 4 {
			return files, failf(name, 0, "byte %d: the package ends, expected a zip header", at)
		}
		if binary.LittleEndian.Uint32(b[at:]) == directorySignature {
			break
		}
		f, size, fail := readLocal(b, at, name)
		if fail != nil {
			return files, fail
		}
		directory = appendDirectoryEntry(directory, f, at)
		files = append(files, f)
		at += size
	}
	want := appendEnd(directory, len(files), at, len(directory))
	if n := firstDifference(b[at:], want); n >= 0 {
		return files, failf(directoryName, 0, "byte %d: %s, expected %s", at+n, hexAt(b[at:], n), hexAt(want, n))
	}
	return files, nil
}

// readLocal reads the file whose local header starts at the offset, and says how
// many bytes header and data take.
func readLocal(b []byte, at int, name string) (file, int, *failure) {
	le := binary.LittleEndian
	rest := b[at:]
	if len(rest) < localSize {
		return file{}, 0, failf(name, 0, "byte %d: the package ends within a zip header", at)
	}
	nameSize, size := int(le.Uint16(rest[26:])), int(le.Uint32(rest[18:]))
	if nameSize == 0 || nameSize > maxName || nameSize > len(rest)-localSize {
		return file{}, 0, failf(name, 0, "byte %d: file name of %d bytes", at+26, nameSize)
	}
	f := file{name: string(rest[localSize : localSize+nameSize]), crc: le.Uint32(rest[14:])}
	if !cleanName(f.name) {
		return file{}, 0, failf(name, 0, "byte %d: file name %q, expected letters, digits, '.', '-' and '/'", at+localSize, f.name)
	}
	data := rest[localSize+nameSize:]
	if size > len(data) {
		return file{}, 0, failf(f.name, 0, "byte %d: file of %d bytes, %d remain", at, size, len(data))
	}
	f.data = data[:size:size]
	want := appendLocalHeader(nil, f)
	if n := firstDifference(rest[:len(want)], want); n >= 0 {
		return file{}, 0, failf(f.name, 0, "zip header, byte %d: %s, expected %s", at+n, hexAt(rest, n), hexAt(want, n))
	}
	return f, len(want) + size, nil
}

// cleanName says whether a name can be given to any file system as it is.
func cleanName(name string) bool {
	for _, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '.' && c != '-' && c != '/' {
			return false
		}
	}
	return name != "" && len(name) <= maxName && name[0] != '/' && !bytes.Contains([]byte(name), []byte(".."))
}

// firstDifference is where a and b differ first, or -1 where they are equal.
func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

// hexAt prints the byte at i, or that there is none.
func hexAt(b []byte, i int) string {
	if i >= len(b) {
		return "the end"
	}
	return fmt.Sprintf("0x%02x", b[i])
}
