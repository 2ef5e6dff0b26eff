package telegramsim

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
)

const (
	maxPhotoUpload = 10 << 20 // Bot API: a photo by upload
	maxPhotoSides  = 10_000   // width and height together
	maxPhotoRatio  = 20
	maxThumbPixels = 30_000_000 // of the original; beyond it no smaller sizes are made
)

// checkPhoto refuses what Telegram does not take as a photo.
func checkPhoto(data []byte, f facts) error {
	switch {
	case len(data) > maxPhotoUpload:
		return badRequest("file of size %d bytes is too big for a photo; the maximum size is %d bytes",
			len(data), maxPhotoUpload)
	case f.width == 0 || f.height == 0:
		return badRequest("IMAGE_PROCESS_FAILED")
	case f.width+f.height > maxPhotoSides,
		f.width > maxPhotoRatio*f.height, f.height > maxPhotoRatio*f.width:
		return badRequest("PHOTO_INVALID_DIMENSIONS")
	}
	return nil
}

// storePhoto keeps the photo as it came and makes the smaller sizes that Telegram would. It returns the largest.
func (s *Server) storePhoto(data []byte, f facts) (*file, error) {
	var made []*file
	for _, small := range smallerSizes(data, f) {
		b := small.Bounds()
		var out bytes.Buffer
		if err := jpeg.Encode(&out, small, &jpeg.Options{Quality: 82}); err != nil {
			return nil, err
		}
		thumb, err := s.store(&file{Kind: kindPhoto, MIME: "image/jpeg", Width: b.Dx(), Height: b.Dy()}, out.Bytes())
		if err != nil {
			return nil, err
		}
		made = append(made, thumb)
	}
	full, err := s.store(&file{Kind: kindPhoto, MIME: f.mime, Width: f.width, Height: f.height}, data)
	if err != nil {
		return nil, err
	}
	made = append(made, full)
	sizes := make([]PhotoSize, 0, len(made))
	for _, m := range made {
		sizes = append(sizes, PhotoSize{m.ID, m.UniqueID, m.Width, m.Height, m.Size})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range made {
		m.Sizes = sizes
	}
	return full, nil
}

// smallerSizes are those named s, m and x in Telegram's API, smallest first. There are none of what the standard
// library cannot decode, such as WebP.
func smallerSizes(data []byte, f facts) []*image.RGBA {
	longer := max(f.width, f.height)
	if longer <= 90 || f.width*f.height > maxThumbPixels {
		return nil
	}
	original, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	var out []*image.RGBA
	for _, side := range []int{90, 320, 800} {
		if side < longer {
			out = append(out, shrink(original, side))
		}
	}
	return out
}

// shrink scales an image so that its longer side is as given, each pixel the mean of a few of the original.
func shrink(src image.Image, side int) *image.RGBA {
	b := src.Bounds()
	longer := max(b.Dx(), b.Dy())
	width, height := max(1, b.Dx()*side/longer), max(1, b.Dy()*side/longer)
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			area := image.Rect(x*b.Dx()/width, y*b.Dy()/height, (x+1)*b.Dx()/width, (y+1)*b.Dy()/height).Add(b.Min)
			out.Set(x, y, mean(src, area))
		}
	}
	return out
}

// mean samples at most 3 by 3 pixels of an area, over white where the image is transparent.
func mean(src image.Image, area image.Rectangle) color.RGBA {
	var r, g, b, n uint32
	stepX, stepY := max(1, area.Dx()/3), max(1, area.Dy()/3)
	for y := area.Min.Y; y < area.Max.Y; y += stepY {
		for x := area.Min.X; x < area.Max.X; x += stepX {
			pr, pg, pb, pa := src.At(x, y).RGBA()
			white := 0xFFFF - pa
			r, g, b, n = r+(pr+white)>>8, g+(pg+white)>>8, b+(pb+white)>>8, n+1
		}
	}
	if n == 0 {
		return color.RGBA{255, 255, 255, 255}
	}
	return color.RGBA{uint8(r / n), uint8(g / n), uint8(b / n), 255}
}
