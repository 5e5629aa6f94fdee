// Colours and sizes: dark or light, and all sizes grow with the zoom.
pragma Singleton
import QtQuick
import Olivine

QtObject {
    readonly property SystemPalette system: SystemPalette {}
    readonly property string choice: App.preferences.theme
    readonly property bool dark: choice === "dark" || (choice === "system" && system.window.hslLightness < 0.5)
    readonly property real zoom: App.preferences.zoom

    readonly property color background: dark ? "#171915" : "#fcfcfa"
    readonly property color surface: dark ? "#1e211b" : "#f2f3ed"
    readonly property color raised: dark ? "#2a2e26" : "#eaede2"
    readonly property color field: dark ? "#20231d" : "#ffffff"
    readonly property color hover: dark ? "#31362c" : "#e2e6d8"
    readonly property color border: dark ? "#3a4034" : "#d9ddcf"
    readonly property color text: dark ? "#e8ebe1" : "#1d2017"
    readonly property color muted: dark ? "#a0a696" : "#616657"
    readonly property color accent: dark ? "#a9c95f" : "#56731c"
    readonly property color accentText: dark ? "#1a1f0f" : "#ffffff"
    readonly property color codeBackground: dark ? "#1f221c" : "#f4f5ef"
    readonly property color codeText: dark ? "#dfe3d6" : "#24291c"
    readonly property color danger: dark ? "#f2867d" : "#b3261e"
    readonly property color warning: dark ? "#e6b95c" : "#8a5a00"
    readonly property color selection: dark ? "#4f6129" : "#cfe0a5"

    readonly property real fontSize: Math.round(15 * zoom)
    readonly property real small: Math.round(12.5 * zoom)
    readonly property real large: Math.round(22 * zoom)
    readonly property real radius: 10 * zoom
    readonly property real spacing: 8 * zoom
    readonly property real control: 34 * zoom      // height of buttons and fields
    readonly property real column: 760 * zoom      // widest line of messages
    readonly property string monoFamily: fixed.family

    readonly property font fixed: Qt.font({ family: "monospace", styleHint: Font.Monospace })
}
