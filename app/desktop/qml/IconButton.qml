// A button of one icon; its name is its tool tip, and what a screen reader says.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

Button {
    id: button
    required property string name
    required property string symbol  // icons/SYMBOL.svg
    property string hint             // keys, for the tool tip
    property color color: Theme.muted
    property bool prominent: false
    property real size: Theme.control

    implicitWidth: size
    implicitHeight: size
    padding: 0
    focusPolicy: Qt.TabFocus
    display: AbstractButton.IconOnly
    opacity: enabled ? 1 : 0.4
    icon.source: "qrc:/qt/qml/Olivine/icons/" + symbol + ".svg"
    icon.width: Math.round(size * 0.56)
    icon.height: Math.round(size * 0.56)
    icon.color: prominent ? Theme.accentText : hovered || checked ? Theme.text : color
    Accessible.role: Accessible.Button
    Accessible.name: name
    Accessible.onPressAction: clicked()
    Keys.onReturnPressed: clicked()
    Keys.onEnterPressed: clicked()

    background: Rectangle {
        radius: button.prominent ? height / 2 : Theme.radius * 0.7
        color: button.prominent ? (button.down ? Qt.darker(Theme.accent, 1.2) : Theme.accent)
                                : button.down || button.hovered || button.checked ? Theme.hover : "transparent"
        border.width: button.visualFocus ? 2 : 0
        border.color: button.prominent ? Theme.text : Theme.accent
    }
    ToolTip.text: hint ? name + "  " + hint : name
    ToolTip.visible: hovered && !down
    ToolTip.delay: 600
}
