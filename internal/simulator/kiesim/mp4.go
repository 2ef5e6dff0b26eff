package kiesim

import (
	"encoding/binary"
	"image"
)

// film is a video stream ready to be put into a file.
type film struct {
	size     image.Point
	rate     uint32 // pictures per second
	sps, pps []byte
	samples  [][]byte // one slice per picture
	keys     []uint32 // numbers of the key pictures, from 1
}

// timescale is the number of ticks in a second; each film rate divides it.
const timescale = 12000

// mp4 puts a film into an ISO base media file (ISO/IEC 14496-12, with AVC as in 14496-15). The index precedes the data,
// so that a player can start before it has all.
func (f *film) mp4() []byte {
	head := box("ftyp", text("isom"), u32(0x200), text("isomiso2avc1mp41"))
	// The offset of the data depends on the length of the index, which does not depend on the offset.
	start := len(head) + len(f.moov(0)) + 8
	return append(append(head, f.moov(uint32(start))...), f.mdat()...)
}

func (f *film) mdat() []byte {
	var data []byte
	for _, s := range f.samples {
		data = append(append(data, u32(uint32(len(s)))...), s...)
	}
	return box("mdat", data)
}

func (f *film) moov(dataStart uint32) []byte {
	ticks := uint32(len(f.samples)) * timescale / f.rate
	mvhd := fullBox("mvhd", 0, u32(0, 0, timescale, ticks, 0x10000), u16(0x100, 0), u32(0, 0), matrix(), zeros(24), u32(2))
	tkhd := fullBox("tkhd", 3, u32(0, 0, 1, 0, ticks, 0, 0), u16(0, 0, 0, 0), matrix(), // enabled, in movie
		u32(uint32(f.size.X)<<16, uint32(f.size.Y)<<16))
	mdhd := fullBox("mdhd", 0, u32(0, 0, timescale, ticks), u16(0x55C4, 0)) // language "und"
	hdlr := fullBox("hdlr", 0, u32(0), text("vide"), zeros(12), text("VideoHandler\x00"))
	dinf := box("dinf", fullBox("dref", 0, u32(1), fullBox("url ", 1))) // the data is in this file
	minf := box("minf", fullBox("vmhd", 1, zeros(8)), dinf, f.stbl(dataStart))
	return box("moov", mvhd, box("trak", tkhd, box("mdia", mdhd, hdlr, minf)))
}

// stbl is the sample table: where and when each picture is. All are in one chunk.
func (f *film) stbl(dataStart uint32) []byte {
	n := uint32(len(f.samples))
	sizes := make([]uint32, 0, n)
	for _, s := range f.samples {
		sizes = append(sizes, uint32(len(s)+4))
	}
	return box("stbl",
		fullBox("stsd", 0, u32(1), f.avc1()),
		fullBox("stts", 0, u32(1, n, timescale/f.rate)),
		fullBox("stss", 0, u32(uint32(len(f.keys))), u32(f.keys...)),
		fullBox("stsc", 0, u32(1, 1, n, 1)),
		fullBox("stsz", 0, u32(0, n), u32(sizes...)),
		fullBox("stco", 0, u32(1, dataStart)))
}

// avc1 is the sample entry with the decoder configuration of ISO/IEC 14496-15, 5.3.3.1.
func (f *film) avc1() []byte {
	config := []byte{1, f.sps[1], f.sps[2], f.sps[3], 0xFF, 0xE1} // lengths of 4 bytes, one SPS
	config = append(append(config, u16(uint16(len(f.sps)))...), f.sps...)
	config = append(config, 1) // one PPS
	config = append(append(config, u16(uint16(len(f.pps)))...), f.pps...)
	const dpi72 = 72 << 16
	return box("avc1", zeros(6), u16(1), zeros(16), u16(uint16(f.size.X), uint16(f.size.Y)), u32(dpi72, dpi72, 0),
		u16(1), zeros(32), u16(24, 0xFFFF), box("avcC", config))
}

func box(kind string, parts ...[]byte) []byte {
	size := 8
	for _, p := range parts {
		size += len(p)
	}
	out := append(make([]byte, 0, size), u32(uint32(size))...)
	out = append(out, kind...)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// fullBox is a box with a version, here always 0, and flags.
func fullBox(kind string, flags uint32, parts ...[]byte) []byte {
	return box(kind, append([][]byte{u32(flags)}, parts...)...)
}

// matrix is the transformation that leaves the picture as it is.
func matrix() []byte { return u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000) }

func u32(values ...uint32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.BigEndian.AppendUint32(out, v)
	}
	return out
}

func u16(values ...uint16) []byte {
	out := make([]byte, 0, 2*len(values))
	for _, v := range values {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out
}

func text(s string) []byte { return []byte(s) }

func zeros(n int) []byte { return make([]byte, n) }
