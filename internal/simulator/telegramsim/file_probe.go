package telegramsim

import (
	"bytes"
	"encoding/binary"
	"image"
	_ "image/gif" // for image.DecodeConfig
	_ "image/jpeg"
	_ "image/png"
	"net/http"
	"path/filepath"
	"strings"
)

// facts is what the bytes themselves say about a file.
type facts struct {
	mime    string
	width   int
	height  int
	seconds int
}

// examine reads type and measures from the first bytes. It never trusts a name over the content, but lets a name
// decide where the content says nothing.
func examine(data []byte, name, claimed string) facts {
	f := facts{mime: sniff(data, name, claimed)}
	switch {
	case strings.HasPrefix(f.mime, "image/"):
		f.width, f.height = imageSize(data)
	case f.mime == "video/mp4":
		f.width, f.height, f.seconds = mp4Measures(data)
	case f.mime == "audio/mp4":
		_, _, f.seconds = mp4Measures(data)
	case f.mime == "audio/x-wav":
		f.seconds = wavSeconds(data)
	case f.mime == "audio/mpeg":
		f.seconds = mp3Seconds(data)
	}
	return f
}

func sniff(data []byte, name, claimed string) string {
	if m := mp4Type(data); m != "" {
		return m
	}
	detected, _, _ := strings.Cut(http.DetectContentType(data), ";")
	switch detected {
	case "audio/wave":
		return "audio/x-wav"
	case "application/ogg":
		return "audio/ogg"
	case "application/octet-stream", "text/plain":
	default:
		return detected
	}
	if len(data) > 2 && data[0] == 0xFF && data[1]&0xE0 == 0xE0 {
		return "audio/mpeg"
	}
	if named := typeOfName(name); named != "" {
		return named
	}
	claimed, _, _ = strings.Cut(claimed, ";")
	return orDefault(claimed, detected)
}

// typeOfName covers what people attach; the tables of the operating system would make tests depend on the machine.
func typeOfName(name string) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".pdf":
		return "application/pdf"
	case ".txt", ".log", ".md":
		return "text/plain"
	case ".json":
		return "application/json"
	case ".csv":
		return "text/csv"
	case ".mp3":
		return "audio/mpeg"
	case ".zip":
		return "application/zip"
	}
	return ""
}

func imageSize(data []byte) (width, height int) {
	if c, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil {
		return c.Width, c.Height
	}
	return webpSize(data)
}

// webpSize reads the three forms of WebP's header, which the standard library does not decode.
func webpSize(data []byte) (width, height int) {
	if len(data) < 30 || string(data[8:12]) != "WEBP" {
		return 0, 0
	}
	switch string(data[12:16]) {
	case "VP8 ":
		return int(binary.LittleEndian.Uint16(data[26:]) & 0x3FFF), int(binary.LittleEndian.Uint16(data[28:]) & 0x3FFF)
	case "VP8L":
		bits := binary.LittleEndian.Uint32(data[21:])
		return int(bits&0x3FFF) + 1, int(bits>>14&0x3FFF) + 1
	case "VP8X":
		return uint24(data[24:]) + 1, uint24(data[27:]) + 1
	}
	return 0, 0
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// wavSeconds divides the size of the data chunk by the byte rate.
func wavSeconds(data []byte) int {
	rate, at := 0, 12
	for at+8 <= len(data) {
		id, size := string(data[at:at+4]), int(binary.LittleEndian.Uint32(data[at+4:]))
		if id == "fmt " && at+20 <= len(data) {
			rate = int(binary.LittleEndian.Uint32(data[at+16:]))
		}
		if id == "data" && rate > 0 {
			return (min(size, len(data)-at-8) + rate/2) / rate
		}
		if size < 0 || size > len(data) {
			return 0
		}
		at += 8 + size + size%2
	}
	return 0
}

// mp3Seconds takes the bit rate of the first frame for that of the whole file.
func mp3Seconds(data []byte) int {
	at := 0
	if len(data) > 10 && string(data[:3]) == "ID3" {
		at = 10 + int(data[6])<<21 + int(data[7])<<14 + int(data[8])<<7 + int(data[9])
	}
	if at+4 > len(data) || data[at] != 0xFF || data[at+1]&0xE0 != 0xE0 {
		return 0
	}
	kilobits := [16]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0} // MPEG-1 layer III
	if data[at+1]>>3&3 != 3 {
		kilobits = [16]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0}
	}
	rate := kilobits[data[at+2]>>4] * 125
	if rate == 0 {
		return 0
	}
	return (len(data) - at + rate/2) / rate
}

// mp4Type tells MP4 video from M4A audio by the brand of the first box.
func mp4Type(data []byte) string {
	if len(data) < 12 || string(data[4:8]) != "ftyp" {
		return ""
	}
	switch brand := string(data[8:12]); {
	case strings.HasPrefix(brand, "M4A"), strings.HasPrefix(brand, "M4B"):
		return "audio/mp4"
	case strings.HasPrefix(brand, "qt"):
		return "video/quicktime"
	case brand == "avif", brand == "heic", brand == "mif1":
		return "image/" + strings.Replace(brand, "mif1", "heif", 1)
	}
	return "video/mp4"
}

// mp4Measures reads the movie's length and the size of its first track that has one.
func mp4Measures(data []byte) (width, height, seconds int) {
	eachBox(data, func(kind string, movie []byte) {
		if kind != "moov" {
			return
		}
		eachBox(movie, func(kind string, body []byte) {
			switch kind {
			case "mvhd":
				seconds = movieSeconds(body)
			case "trak":
				eachBox(body, func(kind string, header []byte) {
					if kind == "tkhd" && len(header) >= 8 && width == 0 {
						width = int(binary.BigEndian.Uint16(header[len(header)-8:]))
						height = int(binary.BigEndian.Uint16(header[len(header)-4:]))
					}
				})
			}
		})
	})
	return width, height, seconds
}

func movieSeconds(header []byte) int {
	var scale, length uint64
	switch {
	case len(header) >= 32 && header[0] == 1:
		scale, length = uint64(binary.BigEndian.Uint32(header[20:])), binary.BigEndian.Uint64(header[24:])
	case len(header) >= 20:
		scale, length = uint64(binary.BigEndian.Uint32(header[12:])), uint64(binary.BigEndian.Uint32(header[16:]))
	}
	if scale == 0 {
		return 0
	}
	return int((length + scale/2) / scale)
}

func eachBox(data []byte, visit func(kind string, body []byte)) {
	for len(data) >= 8 {
		size, head := uint64(binary.BigEndian.Uint32(data)), uint64(8)
		if size == 1 && len(data) >= 16 {
			size, head = binary.BigEndian.Uint64(data[8:]), 16
		}
		if size == 0 {
			size = uint64(len(data))
		}
		if size < head || size > uint64(len(data)) {
			return
		}
		visit(string(data[4:8]), data[head:size])
		data = data[size:]
	}
}
