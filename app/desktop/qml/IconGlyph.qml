// One of the icons, in a colour, that does nothing.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

Button {
    id: glyph
    required property string symbol  // icons/SYMBOL.svg
    property real size: Theme.fontSize
    property color color: Theme.muted
    enabled: false
    focusPolicy: Qt.NoFocus
    padding: 0
    implicitWidth: size
    implicitHeight: size
    display: AbstractButton.IconOnly
    icon.source: "qrc:/qt/qml/Olivine/icons/" + symbol + ".svg"
    icon.width: size
    icon.height: size
    icon.color: color
    background: null
    Accessible.ignored: true
}
