// Reads a QR code with the camera or from a picture, and sends what it says.
import QrScanner from "../scanner/qr-scanner.min.js";

const form = document.getElementById("scan");
const scanned = document.getElementById("scanned");
const text = document.getElementById("text");
const said = document.getElementById("scan-said");
const video = document.getElementById("video");
const start = document.getElementById("camera");
const picture = document.getElementById("picture");

// What the camera sees is on a screen or on paper in front of the person; a picture may be anybody's.
function take(found, isSeen) {
  text.value = found;
  scanned.disabled = !isSeen;
  form.requestSubmit();
}

// As a canvas: the scanner itself would make an address for the file, which the page's policy refuses.
async function drawn(file) {
  const bitmap = await createImageBitmap(file);
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas;
}

async function read() {
  const [file] = picture.files;
  if (!file) return;
  try {
    const found = await QrScanner.scanImage(await drawn(file), { returnDetailedScanResult: true });
    take(found.data, false);
  } catch {
    said.textContent = said.dataset.nothing;
  }
}

picture.addEventListener("change", read);
read(); // One may have been chosen before this script was here.

// The whole picture, for people hold the code as near as they can; made smaller for speed.
const LARGEST = 800;
function whole(seen) {
  const scale = Math.min(1, LARGEST / Math.max(seen.videoWidth, seen.videoHeight));
  return {
    x: 0,
    y: 0,
    width: seen.videoWidth,
    height: seen.videoHeight,
    downScaledWidth: Math.round(seen.videoWidth * scale),
    downScaledHeight: Math.round(seen.videoHeight * scale),
  };
}

start.addEventListener("click", async () => {
  const scanner = new QrScanner(video, (found) => {
    scanner.stop();
    take(found.data, true);
  }, { calculateScanRegion: whole, maxScansPerSecond: 10, returnDetailedScanResult: true });
  try {
    video.hidden = false;
    await scanner.start();
    said.textContent = said.dataset.looking;
  } catch {
    video.hidden = true;
    said.textContent = said.dataset.nocamera;
  }
});
