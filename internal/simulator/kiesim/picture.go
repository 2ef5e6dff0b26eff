package kiesim

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

const (
	longSide  = 1024
	shortSide = 128 // of ratios such as 1:8
	longText  = 400 // characters of a prompt that are written
)

// scene is what a picture or film shows.
type scene struct {
	text  string  // the prompt, written across it
	label string  // small, in a corner
	ratio float64 // width by height
}

// painter draws. The font knows Latin, Greek and Cyrillic; other signs are left out. It is safe for concurrent use.
type painter struct{ font *opentype.Font }

func newPainter() (*painter, error) {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, err
	}
	return &painter{font: f}, nil
}

// picture draws a scene as PNG, or as JPEG when ext is .jpg.
func (p *painter) picture(sc scene, ext string, rng *rand.Rand) ([]byte, error) {
	img := image.NewRGBA(frame(sc.ratio, longSide, shortSide, 1))
	backdrop(img, rng)
	if err := p.caption(img, sc); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if ext == ".jpg" {
		err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90})
		return b.Bytes(), err
	}
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	err := enc.Encode(&b, img)
	return b.Bytes(), err
}

// ratioOf reads the many ways in which models ask for a shape. Those that leave it to the model get the usual one.
func ratioOf(in input, modality string) float64 {
	for _, name := range []string{"aspect_ratio", "ratio", "image_size", "size"} {
		if r, ok := parseRatio(in.text(name)); ok {
			return r
		}
	}
	if modality == "video" {
		return 16.0 / 9
	}
	return 1
}

// parseRatio understands "16:9", "landscape_16_9", "portrait_4_3" (which is upright), "landscape" and "square_hd".
func parseRatio(s string) (float64, bool) {
	if a, b, ok := pair(s, ":"); ok {
		return a / b, true
	}
	shape, rest, _ := strings.Cut(s, "_")
	a, b, ok := pair(rest, "_")
	if !ok {
		a, b = 16, 9
	}
	switch shape {
	case "square":
		return 1, true
	case "landscape":
		return max(a, b) / min(a, b), true
	case "portrait":
		return min(a, b) / max(a, b), true
	}
	return 0, false
}

// pair reads two positive numbers.
func pair(s, sep string) (a, b float64, ok bool) {
	first, second, _ := strings.Cut(s, sep)
	a, errA := strconv.ParseFloat(first, 64)
	b, errB := strconv.ParseFloat(second, 64)
	return a, b, errA == nil && errB == nil && a > 0 && b > 0
}

// frame returns the rectangle of a ratio whose sides are multiples of step.
func frame(ratio float64, long, short, step int) image.Rectangle {
	w, h := float64(long), float64(long)
	if ratio >= 1 {
		h = w / ratio
	} else {
		w = h * ratio
	}
	fit := func(side float64) int { return max(int(math.Round(side/float64(step))), short/step) * step }
	return image.Rect(0, 0, fit(w), fit(h))
}

// backdrop fills the picture with a gradient of two neighbouring hues and a few large translucent shapes.
func backdrop(img *image.RGBA, rng *rand.Rand) {
	hue := rng.Float64()
	from, to := hsv(hue, 0.75, 0.55), hsv(hue+0.15+0.2*rng.Float64(), 0.65, 0.95)
	b := img.Bounds()
	slope := rng.Float64()
	shades := make([]color.RGBA, 512)
	for i := range shades {
		shades[i] = mix(from, to, float64(i)/float64(len(shades)))
	}
	across, down := slope*511/float64(b.Dx()), (1-slope)*511/float64(b.Dy())
	for y := range b.Dy() {
		row := img.Pix[y*img.Stride:]
		for x := range b.Dx() {
			c := shades[int(across*float64(x)+down*float64(y))]
			copy(row[4*x:], []uint8{c.R, c.G, c.B, c.A})
		}
	}
	size := float32(min(b.Dx(), b.Dy()))
	for range 9 {
		c := hsv(hue+0.5*rng.Float64(), 0.4+0.4*rng.Float64(), 1)
		c.A = uint8(50 + rng.IntN(70))
		cx, cy := rng.Float32()*float32(b.Dx()), rng.Float32()*float32(b.Dy())
		corners := []int{3, 4, 6, 48}[rng.IntN(4)] // 48 corners are a disc
		polygon(img, c, cx, cy, size*(0.08+0.25*rng.Float32()), corners, rng.Float64())
	}
}

// polygon blends a regular polygon over the picture, smooth at its edges. Only its own rectangle is touched: a film draws
// hundreds of them.
func polygon(img *image.RGBA, c color.NRGBA, cx, cy, radius float32, corners int, turn float64) {
	reach := int(radius) + 2
	area := image.Rect(int(cx)-reach, int(cy)-reach, int(cx)+reach, int(cy)+reach).Intersect(img.Bounds())
	if area.Empty() {
		return
	}
	z := vector.NewRasterizer(area.Dx(), area.Dy())
	cx, cy = cx-float32(area.Min.X), cy-float32(area.Min.Y)
	for i := range corners {
		sin, cos := math.Sincos(2 * math.Pi * (turn + float64(i)/float64(corners)))
		x, y := cx+radius*float32(cos), cy+radius*float32(sin)
		if i == 0 {
			z.MoveTo(x, y)
		} else {
			z.LineTo(x, y)
		}
	}
	z.ClosePath()
	z.Draw(img, area, image.NewUniform(c), image.Point{})
}

func hsv(h, s, v float64) color.NRGBA {
	h = 6 * (h - math.Floor(h))
	part := func(n float64) uint8 {
		k := math.Mod(n+h, 6)
		return uint8(255 * (v - v*s*max(0, min(k, 4-k, 1))))
	}
	return color.NRGBA{R: part(5), G: part(3), B: part(1), A: 255}
}

func mix(a, b color.NRGBA, t float64) color.RGBA {
	part := func(x, y uint8) uint8 { return uint8(float64(x) + t*(float64(y)-float64(x))) }
	return color.RGBA{R: part(a.R, b.R), G: part(a.G, b.G), B: part(a.B, b.B), A: 255}
}

// caption writes label and prompt on a dark band at the foot, in the largest size that fits.
func (p *painter) caption(img *image.RGBA, sc scene) error {
	b := img.Bounds()
	margin := max(b.Dx()/24, 4)
	shown := p.drawable(sc.text)
	if runes := []rune(shown); len(runes) > longText {
		shown = string(runes[:longText]) + "…"
	}
	for size := float64(min(b.Dx(), b.Dy())) / 14; ; size *= 0.85 {
		face, err := opentype.NewFace(p.font, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
		if err != nil {
			return err
		}
		label := wrap(face, p.drawable(sc.label), b.Dx()-2*margin)
		lines := slices.Concat(label, wrap(face, shown, b.Dx()-2*margin))
		room := max((b.Dy()*3/5-margin)/face.Metrics().Height.Ceil(), 1)
		if len(lines) > room && size > 11 {
			continue
		}
		if len(lines) > room {
			lines = append(lines[:room-1], lines[room-1]+"…")
		}
		writeBand(img, face, lines, len(label), margin)
		return nil
	}
}

// writeBand writes the lines, the first of them (the label) in a weaker colour.
func writeBand(img *image.RGBA, face font.Face, lines []string, weak, margin int) {
	b := img.Bounds()
	step := face.Metrics().Height.Ceil()
	band := image.Rect(0, b.Max.Y-step*len(lines)-margin, b.Max.X, b.Max.Y)
	draw.Draw(img, band, image.NewUniform(color.NRGBA{A: 150}), image.Point{}, draw.Over)
	d := font.Drawer{Dst: img, Face: face}
	for i, line := range lines {
		d.Src = image.NewUniform(color.NRGBA{R: 255, G: 255, B: 255, A: 255})
		if i < weak {
			d.Src = image.NewUniform(color.NRGBA{R: 255, G: 255, B: 255, A: 140})
		}
		d.Dot = fixed.P(margin, band.Min.Y+margin/2+step*i+face.Metrics().Ascent.Ceil())
		d.DrawString(line)
	}
}

// drawable drops what the font has no sign for, such as emoji.
func (p *painter) drawable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if i, err := p.font.GlyphIndex(nil, r); err != nil || i == 0 {
			return -1
		}
		return r
	}, text)
}

// wrap breaks text into lines of at most width, between words where it can.
func wrap(face font.Face, text string, width int) []string {
	fits := func(s string) bool { return font.MeasureString(face, s).Ceil() <= width }
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if next := strings.TrimSpace(line + " " + word); fits(next) {
			line = next
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		line = ""
		for _, r := range word {
			if line != "" && !fits(line+string(r)) {
				lines = append(lines, line)
				line = ""
			}
			line += string(r)
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
